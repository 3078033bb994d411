/** What the shop sells. A table in code: the catalogue is here to give carts something to hold. */
import type { Product } from './services.js'

const euros = (cents: number): Product['price'] => ({ cents, currency: 'EUR' })

/** The catalogue, in the order in which it is shown. */
export const products: readonly Product[] = [
  {
    sku: 'weekender',
    name: 'Canvas weekender',
    description: 'Room for three days, small enough for the overhead rack.',
    price: euros(12_900),
  },
  {
    sku: 'notebook',
    name: 'Linen notebook',
    description: 'A hundred and sixty blank pages that lie flat.',
    price: euros(1_850),
  },
  {
    sku: 'enamel-mug',
    name: 'Enamel mug',
    description: 'Survives every campfire, and being dropped beside one.',
    price: euros(1_600),
  },
  {
    sku: 'wool-blanket',
    name: 'Merino blanket',
    description: 'Woven in one piece, warm on the last train and on the first boat.',
    price: euros(8_900),
  },
  {
    sku: 'travel-lamp',
    name: 'Reading lamp',
    description: 'Folds to the size of a bookmark and lasts for forty hours.',
    price: euros(3_450),
  },
  {
    sku: 'key-fob',
    name: 'Brass key fob',
    description: 'For the key of a room that is yours for a while.',
    price: euros(1_200),
  },
  {
    sku: 'field-map',
    name: 'Folding map case',
    description: 'Waxed cotton with a clear window; keeps the rain off the route.',
    price: euros(2_750),
  },
  {
    sku: 'tea-tin',
    name: 'Tea tin for two',
    description: 'Twelve spoons of mountain oolong and a lid that closes.',
    price: euros(1_425),
  },
]
