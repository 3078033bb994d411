import { randomBytes } from 'node:crypto'

/** Signs and encrypts for as long as the process runs. */
export const secret = randomBytes(32).toString('hex')
