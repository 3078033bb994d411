/**
 * The layout of accounts and carts in PostgreSQL: which one is there, and how it is brought up to date. As with the
 * library's tables, its number stands in a table's comment, so that it needs no table of its own.
 */
import type { Pool, Sql } from './postgres-pool.js'

const COMMENT = 'Sojourn accounts, layout '
const LOCK = 'sojourn accounts migrate'

/**
 * What leads from each layout to the next. What has been published is never changed: a later layout is a step more, and one
 * under which servers of the version before, which are still running, go on working.
 */
const STEPS = [
  // Merging is a function, so that it is one statement: whoever merges holds the account's row until it is done.
  `CREATE TABLE sojourn_accounts (
     id text COLLATE "C" PRIMARY KEY, username text NOT NULL, name text COLLATE "C" NOT NULL UNIQUE,
     password text NOT NULL, created_at double precision NOT NULL
   );
   CREATE TABLE sojourn_carts (
     user_id text COLLATE "C" NOT NULL REFERENCES sojourn_accounts(id) ON DELETE CASCADE,
     sku text COLLATE "C" NOT NULL, quantity integer NOT NULL, PRIMARY KEY (user_id, sku)
   );
   CREATE TABLE sojourn_merged (
     cart text COLLATE "C" NOT NULL, user_id text COLLATE "C" NOT NULL REFERENCES sojourn_accounts(id) ON DELETE CASCADE,
     sku text COLLATE "C" NOT NULL, quantity integer NOT NULL, at double precision NOT NULL,
     PRIMARY KEY (cart, user_id, sku)
   );
   CREATE INDEX sojourn_merged_at ON sojourn_merged (at);
   CREATE INDEX sojourn_merged_user ON sojourn_merged (user_id);
   CREATE FUNCTION sojourn_merge_cart(
     owner text, guest text, skus text[], quantities integer[], bound integer, moment double precision
   ) RETURNS void LANGUAGE plpgsql AS $merge$
   BEGIN
     -- NO KEY: an add that has entered its row asks for the account next, and would wait for us as we for it.
     PERFORM 1 FROM sojourn_accounts WHERE id = owner FOR NO KEY UPDATE;
     WITH news AS (
       SELECT line.sku, line.quantity, line.quantity - coalesce(had.quantity, 0) AS more
         FROM unnest(skus, quantities) AS line(sku, quantity)
         LEFT JOIN sojourn_merged had ON had.cart = guest AND had.user_id = owner AND had.sku = line.sku
         WHERE line.quantity > coalesce(had.quantity, 0)
     ), remembered AS (
       INSERT INTO sojourn_merged (cart, user_id, sku, quantity, at)
         SELECT guest, owner, sku, quantity, moment FROM news
         ON CONFLICT (cart, user_id, sku) DO UPDATE SET quantity = excluded.quantity, at = excluded.at
     )
     INSERT INTO sojourn_carts AS kept (user_id, sku, quantity) SELECT owner, sku, least(more, bound) FROM news
       ON CONFLICT (user_id, sku) DO UPDATE SET quantity = least(bound, kept.quantity + excluded.quantity);
   END $merge$`,
  // Unlinking is a function, so that of two identities that are unlinked at once the second is seen to be the last.
  `CREATE TABLE sojourn_identities (
     issuer text COLLATE "C" NOT NULL, sub text COLLATE "C" NOT NULL,
     user_id text COLLATE "C" NOT NULL REFERENCES sojourn_accounts(id) ON DELETE CASCADE,
     label text NOT NULL, linked_at double precision NOT NULL, PRIMARY KEY (issuer, sub), UNIQUE (user_id, issuer)
   );
   CREATE FUNCTION sojourn_unlink_identity(owner text, gone text, others text[]) RETURNS text LANGUAGE plpgsql AS $unlink$
   DECLARE hash text;
   BEGIN
     SELECT password INTO hash FROM sojourn_accounts WHERE id = owner FOR UPDATE;
     PERFORM 1 FROM sojourn_identities WHERE user_id = owner AND issuer = gone;
     IF NOT FOUND THEN RETURN 'absent'; END IF;
     PERFORM 1 FROM sojourn_identities WHERE user_id = owner AND issuer <> gone AND issuer = ANY (others);
     IF hash = '' AND NOT FOUND THEN RETURN 'last'; END IF;
     DELETE FROM sojourn_identities WHERE user_id = owner AND issuer = gone;
     RETURN 'unlinked';
   END $unlink$`,
]

/** Rejects where the tables are missing, or are not those that this version reads and writes. */
export async function layoutThere(sql: Sql): Promise<void> {
  const { rows } = await sql(`SELECT obj_description(to_regclass('sojourn_accounts'), 'pg_class') AS comment`, [])
  const layout = layoutOf(rows[0]?.comment)
  if (layout === STEPS.length) return
  const what =
    layout === 0
      ? 'the tables of the accounts are not there'
      : `the tables of the accounts have layout ${layout}, and this version of the server needs ${STEPS.length}`
  throw new TypeError(
    layout > STEPS.length
      ? `postgres: ${what}: a newer version has migrated them. Run that version here too`
      : `postgres: ${what}. Run \`sojourn migrate\`, or start with --migrate`,
  )
}

/**
 * Makes the tables, or brings them up to date, all at once or not at all. Any number of servers may do so at the same
 * time: they take turns, and those who come later find the work done. Says which layout was there (0: none), and which is.
 */
export async function migrateAccounts(pool: Pool): Promise<{ from: number; to: number }> {
  const look = async () => {
    const { rows } = (await pool.query(
      `SELECT obj_description(to_regclass('sojourn_accounts'), 'pg_class') AS comment`,
    )) as { rows: { comment: unknown }[] }
    return layoutOf(rows[0]?.comment)
  }
  const from = await look()
  if (from < STEPS.length) {
    const steps = STEPS.map((step, i) => `IF layout < ${i + 1} THEN ${step}; END IF;`)
    await pool.query(`DO $migration$
      DECLARE layout integer := 0; said text;
      BEGIN
        PERFORM pg_advisory_xact_lock(hashtextextended('${LOCK}', 0));
        SELECT obj_description(c.oid, 'pg_class') INTO said
          FROM pg_class c WHERE c.relname = 'sojourn_accounts' AND pg_table_is_visible(c.oid);
        IF FOUND THEN layout := coalesce(substring(said FROM '^${COMMENT}([0-9]{1,4})$')::integer, 0); END IF;
        ${steps.join('\n')}
        IF layout < ${STEPS.length} THEN COMMENT ON TABLE sojourn_accounts IS '${COMMENT}${STEPS.length}'; END IF;
      END $migration$`)
  }
  return { from, to: Math.max(from, STEPS.length) }
}

function layoutOf(comment: unknown): number {
  const [, layout] = new RegExp(`^${COMMENT}(\\d{1,4})$`).exec(String(comment ?? '')) ?? []
  return Number(layout ?? 0)
}
