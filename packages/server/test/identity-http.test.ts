/** Signing in with GitHub as bytes: what is answered to whom, and by two servers on the same data. */
import { join } from 'node:path'
import { readConfig } from '@sojourn/server'
import { openDatabase } from '@sojourn/server/database'
import { describe, expect, onTestFinished, test } from 'vitest'
import { OCTOCAT, startGithub } from '../../sojourn/test/providers/github.js'
import { type Answer, type Client, client } from './client.js'
import { folder, started } from './started.js'

const ORIGIN = 'http://localhost:3000'

describe.each(['opaque', 'sealed'] as const)('with GitHub, %s sessions', (strategy) => {
  const running = async () => {
    const hub = await startGithub({ origin: ORIGIN })
    onTestFinished(() => hub.close())
    const { providers } = readConfig(
      {},
      {
        SOJOURN_ORIGIN: ORIGIN,
        GITHUB_URL: hub.url,
        GITHUB_CLIENT_ID: hub.clientId,
        GITHUB_CLIENT_SECRET: hub.clientSecret,
      },
    )
    const data = folder()
    const start = () => started({ providers: providers!, origin: ORIGIN, strategy, data })
    return { hub, one: await start(), two: await start() }
  }

  /** Where GitHub sends the browser back to, once its user has agreed. */
  const agreed = async (visitor: Client): Promise<string> => {
    const begun = await visitor.get('/oauth/github?next=/cart')
    expect(begun.status).toBe(303)
    const page = await (await fetch(begun.headers.get('location')!)).text()
    const back = new URL(/id="authorize" href="([^"]+)"/.exec(page)![1]!.replaceAll('&amp;', '&'))
    return back.pathname + back.search
  }
  const user = async (visitor: Client) => (await visitor.get('/api/session')).body.user
  const repositories = async (visitor: Client) => (await visitor.get('/api/github/repos')).status

  test('begun at one server, completed at the other, and connected at both', async () => {
    const { one, two } = await running()
    const here = one.visitor()
    const there = client(two.url, here.jar)
    const back = await agreed(here)
    expect((await there.get(back)).status).toBe(303)
    expect((await user(here)).username).toBe(OCTOCAT.login)
    expect([await repositories(here), await repositories(there)]).toEqual([200, 200])
  })

  test('15.4.2: one that is disconnected before its session is kept opens none', async () => {
    const { one } = await running()
    const owner = one.visitor()
    await owner.get(await agreed(owner))
    const thief = one.visitor()
    const back = await agreed(thief)
    const database = openDatabase(join(one.data, 'accounts.db'))
    onTestFinished(() => void database.close())
    // Between what is looked at and what is kept, which the log tells of.
    const { push } = one.lines
    one.lines.push = (line) => {
      if (line.includes('authn_login_success')) database.prepare('DELETE FROM identities').run()
      return push.call(one.lines, line)
    }
    const late = await thief.get(back)
    expect([late.status, late.headers.getSetCookie()]).toEqual([401, []])
    expect(late.text).toContain('disconnected')
    expect(await user(thief)).toBeNull()
    expect((await owner.get('/api/sessions')).body.sessions).toHaveLength(1)
  })

  test('A-105: it comes back once, also at the other server and with the cookies of before', async () => {
    const { hub, one, two } = await running()
    const here = one.visitor()
    const back = await agreed(here)
    const copied = here.jar.cloneSync()!
    expect((await here.get(back)).status).toBe(303)
    const requests = hub.tokenRequests()
    const again = await client(two.url, copied).get(back)
    expect(again.status).toBe(400)
    expect(hub.tokenRequests()).toBe(requests)
    expect(await user(client(two.url, copied))).toBeNull()
  })

  test('A-91: somebody new and somebody known are answered alike', async () => {
    const { one } = await running()
    const shape = ({ status, headers, text }: Answer) => ({
      status,
      text,
      to: headers.get('location'),
      names: [...headers.keys()].filter((name) => name !== 'content-length'),
      cookies: headers.getSetCookie().map((line) => line.replace(/=[^;]+/, '=…').replace(/oauth-[\w-]+/, 'oauth-…')),
    })
    const arrive = async () => {
      const visitor = one.visitor()
      const answer = shape(await visitor.get(await agreed(visitor)))
      return { answer, says: /class="notice"[^>]*>\s*([^<]+)/.exec((await visitor.get('/cart')).text)?.[1] }
    }
    const first = await arrive()
    expect(first.answer).toMatchObject({ status: 303, to: `${ORIGIN}/cart` })
    expect(first.says).toContain('You are signed in with GitHub.')
    expect(await arrive()).toEqual(first)
  })

  test('of two first sign-ins at once both get one account', async () => {
    const { one, two } = await running()
    const visitors = [one.visitor(), two.visitor(), one.visitor(), two.visitor()]
    const backs = await Promise.all(visitors.map(agreed))
    await Promise.all(visitors.map((visitor, i) => visitor.get(backs[i]!)))
    const users = await Promise.all(visitors.map(user))
    expect(users[0]).not.toBeNull()
    for (const found of users) expect(found).toEqual(users[0])
  })

  test('A-66: a link of another site begins nothing', async () => {
    const { one } = await running()
    const answer = await one.visitor().get('/oauth/github', { 'sec-fetch-site': 'cross-site' })
    expect([answer.status, answer.headers.get('location')]).toEqual([303, '/login'])
    expect(answer.headers.getSetCookie()).toEqual([])
  })

  test('a GitHub that is gone is 503, and signs nobody out', async () => {
    const { hub, one } = await running()
    const here = one.visitor()
    await here.get(await agreed(here))
    await hub.close()
    const answer = await here.get('/api/github/repos')
    expect(answer.status).toBe(503)
    expect(Number(answer.headers.get('retry-after'))).toBeGreaterThan(0)
    expect(await user(here)).not.toBeNull()
  })
})
