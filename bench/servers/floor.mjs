/** The least that any session in memory costs: one cookie found, one hash, one look-up in a Map. No signature, no expiry. */
import { hash, randomBytes } from 'node:crypto'
import { createServer } from 'node:http'
import { answer, filled, listen, loginOf, modified } from './host.mjs'

const records = new Map()
const key = (token) => hash('sha256', token, 'base64url')

function login(res, user) {
  const token = randomBytes(32).toString('base64url')
  records.set(key(token), { user, data: filled() })
  res.setHeader('set-cookie', `sid=${token}; Path=/; HttpOnly`)
}

listen(
  createServer((req, res) => {
    const user = loginOf(req.url)
    if (user) login(res, user)
    const record = records.get(key(req.headers.cookie?.slice(4) ?? ''))
    if (modified && record) record.data.count++
    res.end(answer(record?.user, record?.data.count))
  }),
)
