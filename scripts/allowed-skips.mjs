/**
 * The tests that may be skipped even in CI, by name, because they cannot run there: nothing that CI can install brings what
 * they need. Each is one line at the end of `npm test`. This list is meant to be short, and to become empty.
 */

/** @type {{ file: string, title: string, why: string }[]} */
export const ALLOWED_SKIPS = [
  {
    file: 'packages/sojourn/test/store-mongodb-live.test.ts',
    title: 'the MongoDB store on a live server',
    why: 'there is no MongoDB server; run `MONGODB_URL=mongodb://… npm test -- store-mongodb`',
  },
]

/**
 * The entry for a skipped test; nothing where it is not allowed.
 * @param {string} path
 * @param {string} name
 */
export function allowance(path, name) {
  return ALLOWED_SKIPS.find(({ file, title }) => path.replaceAll('\\', '/').endsWith(`/${file}`) && name === title)
}
