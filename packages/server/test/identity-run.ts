/** The server as a process of its own, with an OpenID provider and a GitHub beside it, and all that it says kept. */
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Page } from 'playwright-core'
import { type GithubSimulator, startGithub } from '../../sojourn/test/providers/github.js'
import { type OidcProvider, startOidcProvider } from '../../sojourn/test/providers/oidc.js'

/** All three, running. */
export interface IdentityRun {
  readonly origin: string
  readonly data: string
  readonly provider: OidcProvider
  readonly hub: GithubSimulator
  /** What the process wrote on both its streams. */
  output(): string
  /** What this page's browser was answered by the server from now on is kept. */
  overhear(page: Page): void
  /** Headers and bodies of those answers, by address. */
  readonly heard: readonly { readonly url: string; readonly text: string }[]
  /** Names of the places that hold one of the tokens that were given out. */
  leaks(): Promise<string[]>
  close(): Promise<void>
}

const CLI = new URL('../dist/cli.js', import.meta.url).pathname

/** Starts them, the server with this strategy. */
export async function startIdentityRun(strategy: 'opaque' | 'sealed'): Promise<IdentityRun> {
  const origin = `http://localhost:${await freePort()}`
  const logoutUri = `${origin}/oidc/backchannel-logout`
  const provider = await startOidcProvider({ origin, logoutUri })
  const hub = await startGithub({ origin })
  const data = mkdtempSync(join(tmpdir(), 'sojourn-identity-'))
  const child = spawn(process.execPath, [CLI, 'serve'], {
    env: {
      PATH: process.env.PATH,
      PORT: new URL(origin).port,
      HOST: 'localhost',
      SOJOURN_DATA: data,
      SOJOURN_ORIGIN: origin,
      SOJOURN_STRATEGY: strategy,
      SOJOURN_METRICS: '0',
      GITHUB_URL: hub.url,
      GITHUB_CLIENT_ID: hub.clientId,
      GITHUB_CLIENT_SECRET: hub.clientSecret,
      OIDC_ISSUER: provider.issuer,
      OIDC_CLIENT_ID: provider.clientId,
      OIDC_CLIENT_SECRET: provider.clientSecret,
    },
  })
  let said = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (said += chunk))
  await until(
    () => said.includes('sys_startup'),
    child,
    () => said,
  )

  const heard: { url: string; text: string }[] = []
  return {
    origin,
    data,
    provider,
    hub,
    output: () => said,
    heard,
    overhear: (page) =>
      page.context().on('response', async (response) => {
        if (!response.url().startsWith(origin)) return
        const headers = await response.headersArray().catch(() => [])
        // A redirect has no body that could be asked for.
        const body = await response.text().catch(() => '')
        heard.push({ url: response.url(), text: JSON.stringify(headers) + body })
      }),
    async leaks() {
      const metrics = /"metrics":"([^"]+)"/.exec(said)![1]!
      const tokens = [...provider.issued, ...hub.issued, provider.clientSecret, hub.clientSecret]
      const places = [
        { name: 'metrics', text: await (await fetch(metrics)).text() },
        { name: 'output', text: said },
        ...heard.map(({ url, text }) => ({ name: url, text })),
        ...readdirSync(data).map((name) => ({ name, text: readFileSync(join(data, name), 'latin1') })),
      ]
      return places.flatMap(({ name, text }) => tokens.filter((token) => text.includes(token)).map(() => name))
    },
    async close() {
      const ended = new Promise((resolve) => child.once('exit', resolve))
      child.kill()
      await ended
      await provider.close()
      await hub.close()
      rmSync(data, { recursive: true, force: true })
    },
  }
}

async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((done) => server.listen(0, done))
  const { port } = server.address() as AddressInfo
  await new Promise((done) => server.close(done))
  return port
}

async function until(done: () => boolean, child: ChildProcess, said: () => string): Promise<void> {
  for (let waited = 0; !done(); waited += 50) {
    if (child.exitCode !== null || waited > 20_000) throw new Error(`the server did not start:\n${said()}`)
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}
