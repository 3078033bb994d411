/** Records in a folder, with a folder in it for each table. */
import { join } from 'node:path'
import { file } from 'sojourn/store/file'
import { type PathPlace, pathOf } from '../place.js'
import type { Engine, EngineContext } from './engine.js'

/** On the disk of this machine. */
export function fileEngine(place: PathPlace, { data, clock }: EngineContext): Engine {
  const folder = pathOf(place, data)
  return {
    store: (table) => file(join(folder, table), { durability: 'full', clock }),
    ready: async () => {},
    close: async () => {},
  }
}
