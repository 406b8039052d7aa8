/**
 * Where unsent answers wait on this computer: IndexedDB, or memory where the browser refuses it.
 *
 * A thin layer over idb-keyval that keeps one participation's keys apart from all others
 * (`hm:<study>:<participation>:…`). It does not decide what is sent or removed.
 */

/**
 * @param {object} idb the idb-keyval module
 * @param {string} prefix `hm:<slug>:<public_id>:`
 * @returns {Promise<Storage>}
 *
 * @typedef {object} Storage
 * @property {boolean} durable false when what is stored dies with the page
 * @property {(key: string, value: object) => Promise<void>} put
 * @property {(key: string) => Promise<void>} remove
 * @property {() => Promise<Map<string, object>>} all everything under the prefix, keys without it
 * @property {() => Promise<void>} clear
 */
export async function openStorage(idb, prefix) {
  try {
    const store = idb.createStore('hilmix', 'outbox');
    await idb.get(prefix, store);
    return durableStorage(idb, store, prefix);
  } catch {
    // Private windows and strict settings refuse IndexedDB; answers are then only as safe as the page.
    return memoryStorage();
  }
}

function durableStorage(idb, store, prefix) {
  const all = async () => {
    const mine = (await idb.entries(store)).filter(([key]) => key.startsWith(prefix));
    return new Map(mine.map(([key, value]) => [key.slice(prefix.length), value]));
  };
  return {
    durable: true,
    all,
    put: (key, value) => idb.set(prefix + key, value, store),
    remove: (key) => idb.del(prefix + key, store),
    clear: async () =>
      idb.delMany(
        [...(await all()).keys()].map((key) => prefix + key),
        store,
      ),
  };
}

/** A store of the same shape that lives as long as the page. */
export function memoryStorage() {
  const values = new Map();
  return {
    durable: false,
    all: async () => new Map(values),
    put: async (key, value) => void values.set(key, value),
    remove: async (key) => void values.delete(key),
    clear: async () => values.clear(),
  };
}
