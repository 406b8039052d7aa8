/**
 * How many columns a grid of pictures has, and where the arrow keys lead in it, as plain functions.
 */

/**
 * Columns that leave the last row as full as can be: with room for five, eleven pictures stand 4 + 4 + 3 and not
 * 5 + 5 + 1. At most one row more than the room asks for.
 *
 * @param {number} n pictures, at least 1
 * @param {number} room how many fit side by side, at least 1
 * @returns {number} 1 to `room`; the most of those that do equally well
 */
export function columnsFor(n, room) {
  const rows = (columns) => Math.ceil(n / columns);
  const lastRow = (columns) => (((n - 1) % columns) + 1) / columns;
  let best = Math.min(n, room);
  for (let columns = best - 1; columns > 0 && rows(columns) <= rows(room) + 1; columns -= 1) {
    if (lastRow(columns) > lastRow(best)) best = columns;
  }
  return best;
}

/**
 * Where a key leads.
 *
 * @param {string} key of a keyboard event
 * @param {number} here place from 0, row by row
 * @param {{n: number, columns: number}} grid
 * @returns {number|null} the place; `here` where there is nothing further; null for a key that does not walk
 */
export function placeAfter(key, here, { n, columns }) {
  const places = {
    ArrowLeft: here - 1,
    ArrowRight: here + 1,
    ArrowUp: here - columns,
    ArrowDown: here + columns,
    Home: 0,
    End: n - 1,
  };
  const place = places[key];
  if (place === undefined) return null;
  return place >= 0 && place < n ? place : here;
}
