/** A user's repositories at GitHub, as the vault finds them: the page and the API see what came of it, and no token. */
import type { Vault, VaultAnswer } from 'sojourn/identity/vault'
import { GUEST } from '../operations/devices.js'
import type { Refused, Result, ShopData, Visit } from '../services.js'

/** A repository, as far as it is shown. All of it is GitHub's text. */
export interface Repository {
  /** With its owner: `octocat/hello-world`. */
  readonly name: string
  /** Its page; absent where GitHub named one that is not below its own address. */
  readonly url: string | undefined
  readonly description: string | undefined
  readonly private: boolean
}

/** The hundred that were last pushed to. */
const PATH = '/user/repos?sort=pushed&per_page=100'
const HEADERS = { accept: 'application/vnd.github+json', 'user-agent': 'sojourn' }
const AGAIN = 5

/** Lists them. One call to GitHub, and what the vault asks of its store. */
export function repositoriesOf(
  tokens: Vault<ShopData>,
  home: string,
): (visit: Visit) => Promise<Result<Repository[], 'guest' | 'disconnected' | 'unavailable' | 'unusable'>> {
  return async ({ session, user }) => {
    if (!user) return GUEST
    const answer = await tokens.fetch(session, 'github', PATH, { headers: HEADERS })
    if (answer.kind !== 'answer') return refusal(answer)
    const value = answer.response.status === 200 ? await read(answer.response, home) : undefined
    return value === undefined ? UNUSABLE : { ok: true, value }
  }
}

const UNUSABLE: Refused<'unusable'> = {
  ok: false,
  reason: 'unusable',
  message: 'GitHub gave an answer that makes no sense here. Please try again in a moment.',
  retryAfter: AGAIN,
}

function refusal(answer: Exclude<VaultAnswer, { kind: 'answer' }>): Refused<'disconnected' | 'unavailable'> {
  if (answer.kind === 'reconnect') {
    const message =
      answer.why === 'absent'
        ? 'This session is not connected to GitHub. Connect it on your account’s page.'
        : 'GitHub does not accept this connection any more. Connect it again on your account’s page.'
    return { ok: false, reason: 'disconnected', message }
  }
  if (answer.kind === 'scope') {
    const message = 'GitHub was not allowed to show this. Connect it again on your account’s page.'
    return { ok: false, reason: 'disconnected', message }
  }
  const message =
    answer.kind === 'limited'
      ? 'GitHub has had enough requests for now. Please try again later.'
      : 'GitHub cannot be reached just now. Please try again in a moment.'
  const { retryAfter = AGAIN * 1000 } = answer
  return { ok: false, reason: 'unavailable', message, retryAfter: Math.max(1, Math.ceil(retryAfter / 1000)) }
}

async function read(response: Response, home: string): Promise<Repository[] | undefined> {
  const list: unknown = await response.json().catch(() => undefined)
  if (!Array.isArray(list)) return undefined
  return list.flatMap((one: Record<string, unknown> | null) => {
    const { full_name: name, html_url: url, description, private: hidden } = one ?? {}
    if (typeof name !== 'string') return []
    const own = typeof url === 'string' && URL.canParse(url) && new URL(url).origin === home
    return {
      name,
      url: own ? url : undefined,
      description: typeof description === 'string' ? description : undefined,
      private: hidden === true,
    }
  })
}
