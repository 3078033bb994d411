/**
 * An OpenID provider that keeps to the standards until a test bends it: it stands in for providers that are broken or
 * hostile, which no real one can be made to be. What works is shown with real ones, in `oauth-browser.test.ts`.
 */
import { createHash, randomUUID } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { exportJWK, generateKeyPair, SignJWT } from 'jose'
import { onTestFinished } from 'vitest'
import { listening } from '../fixtures/servers.js'

type Claims = Record<string, unknown>

/** What a test bends. */
export interface Bent {
  /** Added to the metadata; `undefined` takes away. */
  metadata: Claims
  /** Added to the identity token; `undefined` takes away. */
  claims: Claims
  /** Added to the token endpoint's answer; `undefined` takes away. */
  tokens: Claims
  /** Makes the identity token in place of the provider. */
  idToken?: (claims: Claims) => string | Promise<string>
  /** Answers in place of a path. */
  answers: Record<string, (response: ServerResponse) => void>
  /** Whether it accepts a code whose verifier is another's. */
  ignoresPkce: boolean
}

/** A provider that does what it is told. */
export interface Liar {
  readonly issuer: string
  readonly clientId: string
  readonly clientSecret: string
  readonly bent: Bent
  /** The paths that were asked for since the last call. */
  asked(): string[]
  /** What the provider's page does when the user agrees: the URL that the browser is sent back to. */
  agree(to: URL, sub?: string): URL
  /** A token that it signs, with this `typ`. */
  sign(type: string | undefined, claims: Claims): Promise<string>
  readonly jwk: JsonWebKey
}

/** Starts one, for one test. */
export async function startLiar(): Promise<Liar> {
  const { publicKey, privateKey } = await generateKeyPair('ES256')
  const jwk = { ...(await exportJWK(publicKey)), kid: 'one', alg: 'ES256', use: 'sig' }
  const codes = new Map<string, { nonce: string; challenge: string; sub: string }>()
  const paths: string[] = []
  const bent: Bent = { metadata: {}, claims: {}, tokens: {}, answers: {}, ignoresPkce: false }
  const [clientId, clientSecret] = ['the-shop', 'a-secret-of-the-shop']

  const sign = (type: string | undefined, claims: Claims) =>
    new SignJWT(claims)
      .setProtectedHeader({ alg: 'ES256', kid: 'one', ...(type === undefined ? {} : { typ: type }) })
      .sign(privateKey)

  const answer = (response: ServerResponse, body: object, status = 200) => {
    response.writeHead(status, { 'content-type': 'application/json' })
    response.end(JSON.stringify(body))
  }

  const token = async (request: IncomingMessage, response: ServerResponse) => {
    let body = ''
    for await (const part of request) body += part
    const sent = new URLSearchParams(body)
    const code = codes.get(sent.get('code') ?? '')
    codes.delete(sent.get('code') ?? '')
    const challenge = createHash('sha256')
      .update(sent.get('code_verifier') ?? '')
      .digest('base64url')
    if (!code || (code.challenge !== challenge && !bent.ignoresPkce))
      return answer(response, { error: 'invalid_grant' }, 400)
    const now = Math.floor(Date.now() / 1000)
    const claims = {
      iss: issuer,
      sub: code.sub,
      aud: clientId,
      iat: now,
      exp: now + 300,
      nonce: code.nonce,
      ...bent.claims,
    }
    const id_token = await (bent.idToken ?? ((all) => sign(undefined, all)))(claims)
    answer(response, { access_token: 'canary-access', token_type: 'Bearer', expires_in: 60, id_token, ...bent.tokens })
  }

  const { port, close } = await listening(
    createServer((request, response) => {
      const path = request.url!.split('?')[0]!
      paths.push(path)
      const instead = bent.answers[path]
      if (instead) return instead(response)
      if (path === '/.well-known/openid-configuration') {
        const endpoints = {
          authorization_endpoint: `${issuer}/authorize`,
          token_endpoint: `${issuer}/token`,
          jwks_uri: `${issuer}/jwks`,
        }
        const known = { issuer, ...endpoints, authorization_response_iss_parameter_supported: true }
        return answer(response, { ...known, id_token_signing_alg_values_supported: ['ES256'], ...bent.metadata })
      }
      if (path === '/jwks') return answer(response, { keys: [jwk] })
      if (path === '/token') return void token(request, response)
      answer(response, {}, 404)
    }),
  )
  const issuer = `http://127.0.0.1:${port}`
  onTestFinished(() => void close())

  return {
    issuer,
    clientId,
    clientSecret,
    bent,
    jwk: jwk as JsonWebKey,
    sign,
    asked: () => paths.splice(0),
    agree(to, sub = 'ann') {
      const code = randomUUID()
      const { nonce = '', code_challenge: challenge = '' } = Object.fromEntries(to.searchParams)
      codes.set(code, { nonce, challenge, sub })
      const back = new URL(to.searchParams.get('redirect_uri')!)
      back.search = new URLSearchParams({ code, state: to.searchParams.get('state')!, iss: issuer }).toString()
      return back
    },
  }
}
