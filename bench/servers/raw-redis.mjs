/** The least that a session in Redis costs: one cookie found, one GET, and its JSON. No signature, no hash, no expiry. */
import { randomBytes } from 'node:crypto'
import { createServer } from 'node:http'
import { Redis } from 'ioredis'
import { answer, filled, listen, loginOf } from './host.mjs'

const client = new Redis(process.env.BENCH_REDIS)

async function login(res, user) {
  const token = randomBytes(32).toString('base64url')
  await client.set(token, JSON.stringify({ user, ...filled() }), 'EX', 3600)
  res.setHeader('set-cookie', `sid=${token}; Path=/; HttpOnly`)
}

listen(
  createServer(async (req, res) => {
    const user = loginOf(req.url)
    if (user) await login(res, user)
    const token = req.headers.cookie?.slice(4)
    const text = token ? await client.get(token) : null
    const record = text === null ? undefined : JSON.parse(text)
    res.end(answer(record?.user, record?.count))
  }),
)
