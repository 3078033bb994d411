import fastify from 'fastify'
import { announce, answer } from './host.mjs'

const app = fastify()
app.get('/', (_req, reply) => reply.send(answer('guest', 0)))
await app.listen({ port: 0, host: '127.0.0.1' })
announce(app.server.address().port)
