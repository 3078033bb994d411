/** One request, opened: its session, its user, and where it came from. */
import type { Sessions } from 'sojourn'
import type { Accounts } from '../accounts.js'
import type { Peer } from '../peer.js'
import type { Refused, ShopData, Visit } from '../services.js'
import type { Merge } from './cart.js'

/** What a visit is opened from. */
export interface VisitParts {
  readonly sessions: Sessions<ShopData>
  /** Where notices are kept: the very same sessions, if they can. */
  readonly notices: Pick<Sessions<ShopData>, 'of'>
  readonly accounts: Accounts
  readonly merge: Merge
}

/** The visits of the requests under way. */
export interface Visits {
  /** Says who sends a request, before anybody asks. */
  meet(request: Request, peer: Peer): void
  /** Opens a request's visit, once. */
  open(request: Request): Promise<Visit>
  /** Does what was asked for with `recheck`, once the request's session is kept. A refusal is to be answered instead. */
  recheck(request: Request): Promise<Refused | undefined>
}

/** Whether a request brings its credential in the header `Authorization`. */
export function isBearer(request: Request): boolean {
  return /^bearer(?: |$)/i.test(request.headers.get('authorization') ?? '')
}

const SILENT: Visit['notices'] = { flash: () => {}, flashed: () => undefined, commit: () => {} }

/** Opens visits. A guest's cart that came through a login is brought home on the way. */
export function createVisits({ sessions, notices, accounts, merge }: VisitParts): Visits {
  const ips = new WeakMap<Request, string>()
  const opened = new WeakMap<Request, Promise<Visit>>()
  const looks = new WeakMap<Request, () => Promise<Refused | undefined>>()
  const begin = async (request: Request): Promise<Visit> => {
    const session = await sessions.of(request)
    const user = session.userId === undefined ? undefined : await accounts.find(session.userId)
    if (user) await merge(session, user)
    const bearer = isBearer(request)
    // A token is fixed, and whoever brings one shows no pages.
    const told = bearer ? SILENT : await notices.of(request)
    const recheck: Visit['recheck'] = (look) => void looks.set(request, look)
    return { session, user, notices: told, ip: ips.get(request) ?? '', bearer, recheck }
  }
  return {
    meet: (request, peer) => void ips.set(request, peer.ip),
    open(request) {
      const visit = opened.get(request) ?? begin(request)
      opened.set(request, visit)
      return visit
    },
    recheck: async (request) => looks.get(request)?.(),
  }
}
