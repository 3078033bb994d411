/**
 * The passwords that attackers try first (ASVS 6.2.4, N-20): 49 000 from public leaks, kept by the zxcvbn-ts project.
 * Loaded once, at about 40 ms. Nearly all are shorter than what is accepted here, so that most of them are met as a part
 * of a password: the library's rules ask for those too.
 */
import { dictionary } from '@zxcvbn-ts/language-common'

const COMMON: ReadonlySet<string> = new Set(dictionary['passwords-common'] as string[])

/** The example that everybody knows (xkcd 936), and that no list of short ones has. */
const FAMOUS = 'correcthorsebatterystaple'

/** Whether the password, in any case, is on the list, or is the famous one, whatever stands between its words. */
export function isCommon(password: string): boolean {
  const text = password.toLowerCase()
  return COMMON.has(text) || text.replace(/[^a-z]/g, '') === FAMOUS
}
