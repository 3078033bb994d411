import session from 'express-session'
import { serve } from './express-session-app.mjs'

serve(new session.MemoryStore())
