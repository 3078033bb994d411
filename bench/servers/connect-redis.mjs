import { RedisStore } from 'connect-redis'
import { createClient } from 'redis'
import { serve } from './express-session-app.mjs'

const client = await createClient({ url: process.env.BENCH_REDIS }).connect()
serve(new RedisStore({ client }))
