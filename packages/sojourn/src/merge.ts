/**
 * What a guest gathered, and what the app has kept of the user, become one at a login: by a rule for each key. The rules
 * are pure, since a commit that meets a faster one runs them again.
 */

/**
 * - `sum`: numbers are added; objects of numbers (a cart by sku) key by key
 * - `union`: the kept list, then what of the guest's is not on it; of two objects the guest's fields win
 * - `newest`: the guest's, as it was made just now
 * - a function of both: synchronous, computing and no more
 */
export type MergeRule<Value> = 'sum' | 'union' | 'newest' | ((guest: Value, kept: Value) => Value)

/** A rule for each key of the data that has one. Without one, what the app hands over stands. */
export type MergeRules<Data> = { readonly [Key in keyof Data]?: MergeRule<Data[Key]> }

type Rules = Readonly<Record<string, MergeRule<unknown> | undefined>>

const NAMES = new Set<unknown>(['sum', 'union', 'newest'])

/** Throws a `TypeError` for a rule that is none. */
export function checkRules(rules: Rules): void {
  for (const rule of Object.values(rules)) {
    if (typeof rule !== 'function' && !NAMES.has(rule))
      throw new TypeError(
        'merge: a rule is "sum", "union", "newest" or a function of the guest\'s value and the kept one',
      )
  }
}

/**
 * The value of a key after the login. `initial` is what a guest has who did nothing: it counts as no value, so that a
 * login that finds the guest's data gone (another tab's login took it) comes to what was kept, and no more.
 */
export function mergedValue(
  rules: Rules,
  key: string,
  values: { guest: unknown; kept: unknown; initial: unknown },
): unknown {
  const { guest, kept, initial } = values
  const rule = Object.hasOwn(rules, key) ? rules[key] : undefined
  if (rule === undefined || guest === undefined || JSON.stringify(guest) === JSON.stringify(initial)) return kept
  if (typeof rule === 'function') return rule(guest, kept)
  if (kept === undefined || rule === 'newest') return guest
  return rule === 'sum' ? sum(guest, kept) : union(guest, kept)
}

function sum(guest: unknown, kept: unknown): unknown {
  if (typeof guest === 'number' && typeof kept === 'number') return guest + kept
  if (!isObject(guest) || !isObject(kept)) return kept
  return join(guest, kept, (guest, kept) =>
    typeof guest === 'number' && typeof kept === 'number' ? guest + kept : kept,
  )
}

function union(guest: unknown, kept: unknown): unknown {
  if (Array.isArray(guest) && Array.isArray(kept)) {
    const known = new Set(kept.map((item) => JSON.stringify(item)))
    return [...kept, ...guest.filter((item) => !known.has(JSON.stringify(item)))]
  }
  return isObject(guest) && isObject(kept) ? join(guest, kept, (guest) => guest) : kept
}

/** Made of entries, so that a `__proto__` among the keys stays an ordinary one. */
function join(guest: Fields, kept: Fields, both: (guest: unknown, kept: unknown) => unknown): Fields {
  const entries = Object.entries(guest).map(([key, value]) => [
    key,
    Object.hasOwn(kept, key) ? both(value, kept[key]) : value,
  ])
  return Object.fromEntries([...Object.entries(kept), ...entries])
}

type Fields = Record<string, unknown>

function isObject(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
