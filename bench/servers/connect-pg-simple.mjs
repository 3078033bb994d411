import connect from 'connect-pg-simple'
import session from 'express-session'
import pg from 'pg'
import { serve } from './express-session-app.mjs'

const pool = new pg.Pool({ connectionString: process.env.BENCH_POSTGRES })
serve(new (connect(session))({ pool, createTableIfMissing: true }))
