/**
 * Where unsent answers wait on this computer: IndexedDB, or localStorage where the browser refuses that, or
 * memory where it refuses both.
 *
 * It keeps one participation's keys apart from all others (`hm:<study>:<participation>:…`) and does not
 * decide what is sent or removed.
 */

/** Some browsers never answer a call to IndexedDB that they do not allow. */
const PATIENCE_MS = 3_000;

/**
 * @param {object} browser
 * @param {object} browser.idb the idb-keyval module
 * @param {() => Storage} [browser.local] localStorage; reading it throws where it is refused
 * @param {number} [browser.patience] milliseconds to wait for IndexedDB
 * @param {string} prefix `hm:<slug>:<public_id>:`
 * @returns {Promise<Store>}
 *
 * @typedef {object} Store
 * @property {boolean} durable false when what is stored dies with the page
 * @property {(key: string, value: object) => Promise<void>} put
 * @property {(key: string) => Promise<void>} remove
 * @property {() => Promise<Map<string, object>>} all everything under the prefix, keys without it
 * @property {() => Promise<void>} clear
 */
export async function openStorage(
  { idb, local = () => globalThis.localStorage, patience = PATIENCE_MS },
  prefix,
) {
  try {
    const store = idb.createStore('hilmix', 'outbox');
    await within(patience, idb.set(`${prefix}probe`, {}, store));
    await within(patience, idb.del(`${prefix}probe`, store));
    return databaseStorage(idb, store, prefix);
  } catch {
    return localStorageOr(local, prefix);
  }
}

/** The promise's outcome, or a rejection after `ms` milliseconds. */
export function within(ms, promise) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`No answer within ${ms} ms.`)), ms);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

function databaseStorage(idb, store, prefix) {
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

function localStorageOr(local, prefix) {
  try {
    const store = local();
    store.setItem(`${prefix}probe`, '');
    store.removeItem(`${prefix}probe`);
    return localStore(store, prefix);
  } catch {
    return memoryStorage();
  }
}

function localStore(store, prefix) {
  const keys = () =>
    Array.from({ length: store.length }, (_, index) => store.key(index)).filter((key) =>
      key.startsWith(prefix),
    );
  return {
    durable: true,
    all: async () => new Map(keys().map((key) => [key.slice(prefix.length), JSON.parse(store.getItem(key))])),
    put: async (key, value) => store.setItem(prefix + key, JSON.stringify(value)),
    remove: async (key) => store.removeItem(prefix + key),
    clear: async () => keys().forEach((key) => store.removeItem(key)),
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
