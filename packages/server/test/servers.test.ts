/** Several servers on one database: processes of their own, that share nothing but it and the keys. */
import { driver } from '@sojourn/server/engines/engine'
import { generateSecret } from 'sojourn'
import { describe, expect, test } from 'vitest'
import { usePostgres } from '../../sojourn/test/engines/postgres.js'
import { startRedis, until, useRedis } from '../../sojourn/test/engines/redis.js'
import { type Client, client } from './client.js'
import { type Spawned, serve, sojourn } from './spawned.js'
import { folder, PASSWORD } from './started.js'

const postgres = usePostgres({ fsync: 'off' })
const redis = useRedis(() => startRedis())

/** Two servers with these settings, each with a data folder of its own. */
async function two(env: Record<string, string>): Promise<(Spawned & { url: string })[]> {
  const shared = { SOJOURN_KEYS: generateSecret(), ...env }
  return Promise.all([1, 2].map(() => serve(folder(), [], shared)))
}

async function migrated(): Promise<string> {
  const url = await postgres().database()
  const made = sojourn(['migrate', '--data', folder()], { SOJOURN_STORE: url })
  expect(await made.ended, made.output()).toBe(0)
  return url
}

/** The same browser, at another server. */
const at = ({ url }: { url: string }, { jar }: Client): Client => client(url, jar)

const placed = [
  ['PostgreSQL', async () => ({ SOJOURN_STORE: await migrated() })],
  [
    'Redis, accounts in PostgreSQL',
    async () => ({ SOJOURN_STORE: `redis://127.0.0.1:${redis().port}`, SOJOURN_ACCOUNTS: await migrated() }),
  ],
] as const

describe.each(placed)('two servers on %s', (_, place) => {
  test.each(['opaque', 'sealed', 'jwt'])(
    '%s: signed in on one, shopping on the other, ended on either',
    async (strategy) => {
      const [one, other] = await two({ ...(await place()), SOJOURN_STRATEGY: strategy })
      const name = `ada-${strategy}`
      const here = at(one!, client(''))
      const there = at(other!, here)

      // A guest of the one becomes a user of the other, cart and all.
      await here.post('/api/cart/items', { sku: 'notebook', quantity: 2 })
      expect((await there.post('/api/signup', { username: name, password: PASSWORD })).status).toBe(201)
      expect((await here.get('/api/session')).body.user.username).toBe(name)
      const adds = Array.from({ length: 10 }, (_, i) => (i % 2 ? here : there))
      await Promise.all(adds.map((who) => who.post('/api/cart/items', { sku: 'tea-tin', quantity: 1 })))
      expect((await here.get('/api/cart')).body.items).toEqual([
        { sku: 'notebook', quantity: 2 },
        { sku: 'tea-tin', quantity: 10 },
      ])

      // What is ended on one is refused on the other: at once, or within the bound.
      const phone = at(one!, client(''))
      expect((await phone.post('/api/login', { username: name, password: PASSWORD })).status).toBe(200)
      const moved = at(other!, phone)
      expect((await moved.get('/api/session')).body.user.username).toBe(name)
      expect((await here.post('/api/sessions/end-others')).body).toEqual({ ended: 1 })
      const refused = async () => (await moved.get('/api/session')).body.user === null
      if (strategy === 'opaque') expect(await refused()).toBe(true)
      else await until(refused, 6_000)

      // Tokens of one are verified by the other, against the same published keys.
      const { body: tokens } = await phone.post('/api/token', { username: name, password: PASSWORD })
      const authorization = `Bearer ${tokens.access_token}`
      expect((await at(other!, client('')).get('/api/cart', { authorization })).status).toBe(200)
      const [mine, theirs] = await Promise.all([here, there].map((who) => who.get('/.well-known/jwks.json')))
      expect(mine!.body).toEqual(theirs!.body)
      expect(JSON.stringify(mine!.body)).not.toContain('"d"')

      // A stop of one is nobody's logout.
      one!.child.kill('SIGTERM')
      expect(await one!.ended).toBe(0)
      expect((await there.get('/api/session')).body.user.username).toBe(name)
      expect((await there.post('/api/logout')).status).toBe(204)
      expect((await there.get('/api/session')).body.user).toBeNull()
    },
  )

  test('A-92: whoever guesses at one has guessed at the other', async () => {
    const [one, other] = await two(await place())
    await at(one!, client('')).post('/api/signup', { username: 'grace', password: PASSWORD })
    const guess = (server: { url: string }) =>
      at(server, client('')).post('/api/login', { username: 'grace', password: 'not the right one' })
    for (let i = 0; i < 5; i++) expect((await guess(i % 2 ? one! : other!)).status).toBe(401)
    expect((await guess(one!)).status).toBe(429)
    expect((await guess(other!)).status).toBe(429)
  })
})

describe('what a server says at its start', () => {
  test('that its accounts, or its keys, are its own alone', async () => {
    const SOJOURN_STORE = `redis://127.0.0.1:${redis().port}`
    const alone = await serve(folder(), [], { SOJOURN_STORE })
    await alone.seen(/Accounts and carts are on this machine alone/)
    await alone.seen(/The keys are on this machine alone/)
    const url = await migrated()
    const shared = await serve(folder(), [], { SOJOURN_STORE, SOJOURN_ACCOUNTS: url, SOJOURN_KEYS: generateSecret() })
    shared.child.kill('SIGTERM')
    await shared.ended
    expect(shared.output()).not.toContain('alone')
  })

  test('that tables are missing, and what makes them', async () => {
    const url = await postgres().database()
    const env = { SOJOURN_STORE: url }
    const refused = sojourn(['serve', '--port', '0', '--data', folder()], env)
    expect(await refused.ended).toBe(1)
    expect(refused.output()).toMatch(
      /SOJOURN_STORE: PostgreSQL: .*sojourn_sessions.* not there\. Run `sojourn migrate`/,
    )
    expect(refused.output()).not.toContain(' at ')

    // Several at once take turns.
    const all = [1, 2, 3].map(() => sojourn(['migrate', '--data', folder()], env))
    expect(await Promise.all(all.map(({ ended }) => ended))).toEqual([0, 0, 0])
    const again = sojourn(['migrate', '--data', folder()], env)
    expect(await again.ended).toBe(0)
    expect(again.output().trim().split('\n')).toHaveLength(7)
    expect(again.output()).toContain('PostgreSQL: sojourn_sessions: layout 1 is there')
    expect(again.output()).toContain('PostgreSQL: accounts and carts: layout 2 is there')
    await serve(folder(), [], env)
  })

  test('that one table is missing, as after an update that brought it', async () => {
    const url = await migrated()
    const { default: pg } = await import('pg')
    const client = new pg.Client(url)
    await client.connect()
    for (const table of ['sojourn_devices', 'sojourn_throttle']) {
      await client.query(`ALTER TABLE ${table} RENAME TO aside`)
      const refused = sojourn(['serve', '--port', '0', '--data', folder()], { SOJOURN_STORE: url })
      expect(await refused.ended).toBe(1)
      expect(refused.output()).toContain(`the table "${table}" is not there`)
      await client.query(`ALTER TABLE aside RENAME TO ${table}`)
    }
    await client.query("COMMENT ON TABLE sojourn_accounts IS 'Sojourn accounts, layout 999'")
    await client.end()
    const older = sojourn(['serve', '--port', '0', '--data', folder()], { SOJOURN_STORE: url })
    expect(await older.ended).toBe(1)
    expect(older.output()).toMatch(/layout 999, .*newer version has migrated them/)
  })

  test('that a driver is not installed, and what installs it', async () => {
    await expect(driver('no-such-driver', () => import('no-such-driver' as string))).rejects.toThrow(
      'run `npm install no-such-driver`',
    )
  })

  test('--migrate makes the tables first', async () => {
    const server = await serve(folder(), ['--migrate'], { SOJOURN_STORE: await postgres().database() })
    expect((await fetch(`${server.url}/readyz`)).status).toBe(200)
  })

  test('13.3: a weak key, and `keys new` where the keys are given', async () => {
    const weak = sojourn(['serve', '--data', folder()], { SOJOURN_KEYS: 'a'.repeat(64) })
    expect(await weak.ended).toBe(1)
    expect(weak.output()).toMatch(/SOJOURN_KEYS: .*guessed/)
    expect(weak.output()).not.toContain('aaaa')
    const secret = generateSecret()
    const given = sojourn(['keys', 'new', '--data', folder()], { SOJOURN_KEYS: secret })
    expect(await given.ended).toBe(1)
    expect(given.output()).toContain('put a new secret before the others')
    expect(given.output()).not.toContain(secret)
  })
})
