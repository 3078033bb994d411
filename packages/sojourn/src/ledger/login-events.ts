/** What a login is told as, so that an audit sees each session begin and end, whoever signs in over whomever. */
import type { EventBody, State } from '../types.js'

/**
 * The events of a login that made `id`: a guest's session, and the user's own, goes on under a new identifier; another
 * user's ends. `left`: it was this login that took what came with the request out of use.
 */
export function loginEvents(id: string, userId: string, state: State | undefined, left: boolean): EventBody[] {
  const created: EventBody = { type: 'created', id, userId }
  if (state === undefined) return [created]
  const before = state.record.userId
  if (before === undefined || before === userId)
    return [{ type: 'rotated', id, from: state.id, reason: 'login', userId }]
  return left ? [{ type: 'ended', id: state.id, userId: before, reason: 'login' }, created] : [created]
}
