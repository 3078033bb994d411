/** The other process: honours tokens or sessions, and hears of their end through the store alone. `/login?user-1` answers the id. */
import { createServer } from 'node:http'
import { node } from 'sojourn/adapter/node'
import { member } from './fleet.mjs'

process.once('message', async (config) => {
  const { sessions, cut } = await member(config)
  const attach = node(sessions)
  process.on('message', ({ line }) => {
    if (line === undefined) return
    cut(line === 'whole' ? undefined : line)
    process.send({ line })
  })
  const server = createServer((req, res) =>
    attach(req, res, async () => {
      const session = await sessions.of(req)
      if (req.url.startsWith('/login?')) session.login(req.url.slice(7))
      await session.commit()
      res.end(req.url === '/' ? (session.userId ?? 'guest') : session.id)
    }),
  )
  server.listen(0, '127.0.0.1', () => process.send({ port: server.address().port }))
})
process.on('disconnect', () => process.exit())
