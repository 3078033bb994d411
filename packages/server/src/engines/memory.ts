/** Records in this process's memory. */
import { memory } from 'sojourn/store/memory'
import type { Engine, EngineContext } from './engine.js'

/** Never fails, and forgets everything with the process. */
export function memoryEngine({ clock }: EngineContext): Engine {
  return { store: () => memory({ clock }), ready: async () => {}, close: async () => {} }
}
