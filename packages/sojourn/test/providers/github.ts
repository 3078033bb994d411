/**
 * `@simulacrum/github-api-simulator`, which we did not write, on a port of its own, with GitHub's REST API from GitHub's own
 * description of it. Its sign-in lets everybody through and checks nothing: no page, no `token_type`, no secret, no PKCE, no
 * code that is used up, no token that is asked for. What GitHub documents of that is put in front of it here, through the
 * simulator's own `extendRouter`: so the sign-in is only as good a likeness as this file.
 */
import { createHash, randomBytes } from 'node:crypto'
import { simulation } from '@simulacrum/github-api-simulator'

/** A GitHub that runs. */
export interface GithubSimulator {
  readonly url: string
  readonly clientId: string
  readonly clientSecret: string
  /** The access tokens that it would accept. */
  readonly live: ReadonlySet<string>
  /** All that it has given out, revoked or not. */
  readonly issued: ReadonlySet<string>
  /** A status to answer API calls with in place of what they ask for, until it is `undefined` again. */
  ill: number | undefined
  /** Requests for tokens so far. */
  readonly tokenRequests: () => number
  close(): Promise<void>
}

/** Who signs in there. */
export const OCTOCAT = { id: 583231, login: 'octocat', name: 'The Octocat', email: 'octocat@github.example' }

interface Granted {
  readonly redirectUri: string
  readonly challenge: string
  readonly scope: string
}

/** Starts one, at which the app is registered with this redirect URI. */
export async function startGithub({
  origin,
  name = 'github',
}: {
  origin: string
  name?: string
}): Promise<GithubSimulator> {
  const [clientId, clientSecret] = ['Ov23li-the-shop', 'a-secret-that-only-github-knows']
  const registered = `${origin}/oauth/${name}/callback`
  const codes = new Map<string, Granted>()
  const live = new Set<string>()
  const issued = new Set<string>()
  let requests = 0

  const app = simulation({
    apiUrl: '/api/v3',
    initialState: {
      users: [{ ...OCTOCAT, organizations: ['shop'] }],
      organizations: [{ login: 'shop' }],
      repositories: [{ owner: 'shop', name: 'cart' }],
      branches: [{ owner: 'shop', repo: 'cart', name: 'main' }],
      blobs: [],
    } as never,
    extend: {
      extendRouter(router) {
        router.get('/login/oauth/authorize', (request, response) => {
          const query = request.query as Record<string, string>
          const { client_id, redirect_uri, state = '', code_challenge = '', code_challenge_method, scope = '' } = query
          if (client_id !== clientId || redirect_uri !== registered || code_challenge_method !== 'S256')
            return void response.status(404).send('Not Found')
          const code = randomBytes(10).toString('hex')
          codes.set(code, { redirectUri: redirect_uri, challenge: code_challenge, scope })
          const to = (parameters: Record<string, string>) => `${registered}?${new URLSearchParams(parameters)}`
          const denied = to({ error: 'access_denied', error_description: 'The user has denied you access.', state })
          const escaped = (url: string) => url.replaceAll('&', '&amp;').replaceAll('"', '&quot;')
          response.send(
            `<!doctype html><title>Authorize</title><a id="authorize" href="${escaped(to({ code, state }))}">Authorize the-shop</a>
            <a id="cancel" href="${escaped(denied)}">Cancel</a>`,
          )
        })
        router.post('/login/oauth/access_token', async (request, response) => {
          requests++
          const sent = await formOf(request)
          const granted = codes.get(sent.get('code') ?? '')
          codes.delete(sent.get('code') ?? '')
          const error = (word: string) =>
            void response.json({ error: word, error_description: 'See the documentation.' })
          if (sent.get('client_id') !== clientId || sent.get('client_secret') !== clientSecret)
            return error('incorrect_client_credentials')
          const challenge = createHash('sha256')
            .update(sent.get('code_verifier') ?? '')
            .digest('base64url')
          if (granted?.challenge !== challenge) return error('bad_verification_code')
          if (granted.redirectUri !== sent.get('redirect_uri')) return error('redirect_uri_mismatch')
          const token = `gho_${randomBytes(18).toString('hex')}`
          live.add(token)
          issued.add(token)
          response.json({ access_token: token, token_type: 'bearer', scope: granted.scope.replaceAll(' ', ',') })
        })
        router.delete('/api/v3/applications/:id/token', async (request, response) => {
          const basic = Buffer.from(`${clientId}:${clientSecret}`).toString('base64')
          if (request.headers.authorization !== `Basic ${basic}`) return void response.status(401).end()
          const { access_token: token } = JSON.parse(await textOf(request)) as { access_token: string }
          response.status(live.delete(token) ? 204 : 404).end()
        })
        router.use('/api/v3', (request, response, next) => {
          const token = /^Bearer (.+)$/.exec(request.headers.authorization ?? '')?.[1]
          if (running.ill !== undefined)
            return void response.status(running.ill).set('retry-after', '7').json({ message: 'Not now', token })
          if (token !== undefined && live.has(token)) return next()
          response.status(401).json({ message: 'Bad credentials', status: '401' })
        })
      },
    },
  })
  const { port, ensureClose } = await app.listen(0, '127.0.0.1' as never)
  const running: GithubSimulator = {
    url: `http://127.0.0.1:${port}`,
    clientId,
    clientSecret,
    live,
    issued,
    ill: undefined,
    tokenRequests: () => requests,
    close: ensureClose,
  }
  return running
}

interface Incoming extends AsyncIterable<Buffer> {
  readonly body?: unknown
}

/** The simulator reads bodies before its routes see them, where it knows their type. */
async function formOf(request: Incoming): Promise<URLSearchParams> {
  const { body } = request
  if (typeof body === 'object' && body !== null && Object.keys(body).length > 0)
    return new URLSearchParams(body as Record<string, string>)
  return new URLSearchParams(await textOf(request))
}

async function textOf(request: Incoming): Promise<string> {
  const { body } = request
  if (typeof body === 'string') return body
  if (typeof body === 'object' && body !== null && Object.keys(body).length > 0) return JSON.stringify(body)
  const parts: Buffer[] = []
  for await (const part of request) parts.push(part)
  return Buffer.concat(parts).toString()
}
