import type { SessionRecord } from './types.js'

/** A copy that nobody can alter, since it is handed to everybody. */
export function frozen(record: SessionRecord): SessionRecord {
  const { device } = record
  return Object.freeze(device ? { ...record, device: Object.freeze({ ...device }) } : { ...record })
}
