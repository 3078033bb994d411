/** What a new password must be here, and how a refusal is put into words. The rules are the library's (N-20, ASVS 6.2). */
import { MAX_BYTES, MAX_CODE_POINTS, type Weakness, checkPassword as weaknessOf } from 'sojourn/identity/password-rules'
import { isCommon } from './common-passwords.js'
import type { Refused } from './services.js'

const SERVICE = 'sojourn'

/** Why this cannot become the user's password, or `undefined` when it can. `min` counts code points. */
export function checkPassword(password: string, username: string, min: number): Refused<'password'> | undefined {
  const weakness = weaknessOf(password, { min, context: [username, SERVICE], isCommon })
  return weakness && { ok: false, reason: 'password', message: sentences(min)[weakness] }
}

function sentences(min: number): Record<Weakness, string> {
  return {
    unhashable: `A password is text of at most ${MAX_CODE_POINTS} characters (${MAX_BYTES} bytes).`,
    short: `A password has at least ${min} characters. A few words in a row do well.`,
    repeated: 'A password that repeats a few characters is easily guessed.',
    sequence: 'A password that is a sequence, or a walk along the keyboard, is easily guessed.',
    common: 'This password, or the one that it is made of, is on the list of those that attackers try first.',
    context: 'A password made of your username or the name of this service is easily guessed.',
  }
}
