export type * from './types.js'
export { Fault, type FaultCode, SessionCommittedError } from './errors.js'
