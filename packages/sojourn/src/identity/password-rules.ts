/**
 * What a new password must be (NIST SP 800-63B-4 3.1.1.2, ASVS 6.2). Length and not being guessable count; composition
 * does not. The rules hold where a password is set and never where one is checked, so that stricter rules lock nobody
 * out.
 */
import { then } from '../awaitable.js'
import type { Awaitable } from '../types.js'

/** At most so many code points are accepted, and all of them are verified. */
export const MAX_CODE_POINTS = 256
/** At most so many bytes of UTF-8 are hashed: a megabyte of password is an attack, not a password. */
export const MAX_BYTES = 1024

/**
 * Why a text cannot become a password.
 *
 * - `unhashable`: longer than `MAX_CODE_POINTS` or `MAX_BYTES`, or with broken characters
 * - `short`: fewer code points than `min`
 * - `repeated`: a few characters again and again
 * - `sequence`: a walk along the alphabet, the digits or a row of the keyboard
 * - `common`: among those that attackers try first
 * - `context`: nothing but the user's name, the service's, digits and punctuation
 */
export type Weakness = 'unhashable' | 'short' | 'repeated' | 'sequence' | 'common' | 'context'

/** The rules for one new password. */
export interface PasswordRules<Common extends Awaitable<boolean> = Awaitable<boolean>> {
  /** Code points. Default 15, for a password that is the only factor; 8 is enough for one of several. Below 8: `TypeError`. */
  min?: number
  /** The user's name and address, the service's name: what a password must be more than. Empty ones do not count. */
  context?: readonly string[]
  /**
   * Whether the password is on a list of leaked or common ones. Asked with the password, and once more with the part
   * that it repeats; compare without regard to case.
   */
  isCommon?: (password: string) => Common
}

const LEAST = 8
const ALONE = 15
const SHORTEST_UNIT = 5
const ROWS = ['abcdefghijklmnopqrstuvwxyz', '1234567890', 'qwertyuiop', 'asdfghjkl', 'zxcvbnm']

/** The one change made to a password before it is hashed: composed and decomposed accents are the same key strokes. */
export function normalised(password: string): string {
  return password.normalize('NFC')
}

/** Whether it can be hashed, all of it and exactly: text of no more than the sizes above, without broken characters. */
export function isHashable(password: unknown): password is string {
  // The cheap test first: normalising a long string costs more than refusing it.
  if (typeof password !== 'string' || password.length > MAX_BYTES) return false
  const text = normalised(password)
  // Half of a surrogate pair has no UTF-8, so that all such halves would be hashed as the same replacement character.
  return Buffer.byteLength(text) <= MAX_BYTES && [...text].length <= MAX_CODE_POINTS && !/\p{Surrogate}/u.test(text)
}

/** Why this cannot become a user's password, or `undefined` when it can. A promise only where `isCommon` gives one. */
export function checkPassword(password: string, rules?: PasswordRules<boolean>): Weakness | undefined
/** The same with a list that must be waited for. */
export function checkPassword(password: string, rules: PasswordRules): Awaitable<Weakness | undefined>
export function checkPassword(
  password: string,
  { min = ALONE, context = [], isCommon = () => false }: PasswordRules = {},
): Awaitable<Weakness | undefined> {
  if (!(Number.isInteger(min) && min >= LEAST))
    throw new TypeError(
      `checkPassword: \`min\` is a whole number of at least ${LEAST}; ${ALONE} where nothing else is asked`,
    )
  if (!isHashable(password)) return 'unhashable'
  const text = normalised(password)
  if ([...text].length < min) return 'short'
  const unit = repeatedUnit(text.toLowerCase())
  if ([...unit].length < SHORTEST_UNIT) return 'repeated'
  if (isSequence(unit)) return 'sequence'
  return then(isCommon(text), (whole) =>
    then(whole || (unit !== text && isCommon(unit)), (common) => {
      if (common) return 'common'
      return isContextual(text, context) ? 'context' : undefined
    }),
  )
}

/** `abcabcab` is `abc` typed again and again, and as easily guessed: the part that the text repeats, or all of it. */
function repeatedUnit(text: string): string {
  for (let period = 1; period <= text.length / 2; period++) {
    if (text.startsWith(text.slice(period))) return text.slice(0, period)
  }
  return text
}

/** One walk along the alphabet, the digits or a row of the keyboard, in either direction, round the end included. */
function isSequence(text: string): boolean {
  return ROWS.some((row) => {
    const walk = row.repeat(Math.ceil(text.length / row.length) + 1)
    return walk.includes(text) || [...walk].reverse().join('').includes(text)
  })
}

/** Whether nothing but digits and punctuation remains beside the words. */
function isContextual(password: string, words: readonly string[]): boolean {
  const text = password.toLowerCase()
  const rest = words.reduce((left, word) => left.replaceAll(normalised(word).toLowerCase(), ''), text)
  return rest !== text && !/\p{L}/u.test(rest)
}
