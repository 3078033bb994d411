/** The least that a session in PostgreSQL costs: one cookie found, one prepared SELECT by the primary key, and its JSON. */
import { randomBytes } from 'node:crypto'
import { createServer } from 'node:http'
import pg from 'pg'
import { answer, filled, listen, loginOf } from './host.mjs'

const pool = new pg.Pool({ connectionString: process.env.BENCH_POSTGRES })
await pool.query('CREATE TABLE session (sid text PRIMARY KEY, sess text NOT NULL)')

async function login(res, user) {
  const token = randomBytes(32).toString('base64url')
  const values = [token, JSON.stringify({ user, ...filled() })]
  await pool.query('INSERT INTO session VALUES ($1, $2)', values)
  res.setHeader('set-cookie', `sid=${token}; Path=/; HttpOnly`)
}

const read = { name: 'read', text: 'SELECT sess FROM session WHERE sid = $1' }

listen(
  createServer(async (req, res) => {
    const user = loginOf(req.url)
    if (user) await login(res, user)
    const token = req.headers.cookie?.slice(4)
    const row = token ? (await pool.query({ ...read, values: [token] })).rows[0] : undefined
    const record = row && JSON.parse(row.sess)
    res.end(answer(record?.user, record?.count))
  }),
)
