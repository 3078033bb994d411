import { serve } from '@hono/node-server'
import { Hono } from 'hono'
import { announce, answer } from './host.mjs'

const app = new Hono()
app.get('/', (c) => c.text(answer('guest', 0)))
serve({ fetch: app.fetch, port: 0, hostname: '127.0.0.1' }, (info) => announce(info.port))
