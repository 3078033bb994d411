/**
 * The passwords that attackers try first (ASVS 6.2.4, N-20): 49 000 from public leaks, kept by the zxcvbn-ts project.
 * Loaded once, at about 40 ms.
 */
import { dictionary } from '@zxcvbn-ts/language-common'

const COMMON: ReadonlySet<string> = new Set(dictionary['passwords-common'] as string[])

/** Whether the password, in any case, is on the list. */
export function isCommon(password: string): boolean {
  return COMMON.has(password.toLowerCase())
}
