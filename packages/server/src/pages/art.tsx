/** Pictures, drawn in place: the content policy lets nothing in from elsewhere, and none of it is worth a request. */
import type { Child } from 'hono/jsx'
import type { JSX } from 'hono/jsx/jsx-runtime'
import type { DeviceName } from './user-agent.js'

const INK = '#26352f'
const CREAM = '#fbf5e8'

interface Picture {
  readonly ground: string
  readonly shapes: Child
}

/** 160 × 120 each, the thing in the middle, its foot at 96. */
const PICTURES: Readonly<Record<string, Picture>> = {
  weekender: {
    ground: '#cfddcb',
    shapes: (
      <>
        <path d="M60 54V44a20 16 0 0 1 40 0v10" fill="none" stroke="#6b4528" stroke-width="5" />
        <path d="M38 96q-8-22 2-40 2-4 8-4h64q6 0 8 4 10 18 2 40z" fill="#c99a62" />
        <path d="M34.5 82h91q0 8-3.5 14H38q-3.5-6-3.5-14z" fill="#6b4528" />
        <path d="M44 60h72" stroke="#f3dfbf" stroke-width="2" stroke-dasharray="4 3" />
        <path d="M57 52h6v30h-6zM97 52h6v30h-6z" fill="#6b4528" />
        <circle cx="60" cy="66" r="2" fill="#f2c14e" />
        <circle cx="100" cy="66" r="2" fill="#f2c14e" />
      </>
    ),
  },
  notebook: {
    ground: '#ecd5c8',
    shapes: (
      <g transform="rotate(-8 80 62)">
        <rect x="55" y="30" width="54" height="68" rx="3" fill={CREAM} />
        <path d="M106 33v62M103 33v62" stroke="#d9cdb6" />
        <path d="M54 26h44a4 4 0 0 1 4 4v62a4 4 0 0 1-4 4H54a4 4 0 0 1-4-4V30a4 4 0 0 1 4-4z" fill="#2f6b57" />
        <path d="M58 26v70" stroke="#24543f" stroke-width="2" />
        <path d="M93 26v70" stroke="#f2c14e" stroke-width="3" />
        <rect x="66" y="40" width="20" height="12" rx="1.5" fill={CREAM} />
        <path d="M69 45h14M69 48.500h9" stroke="#8aa398" stroke-width="1.5" />
      </g>
    ),
  },
  'enamel-mug': {
    ground: '#bfd5dc',
    shapes: (
      <>
        <path
          d="M68 34q-5-6 0-12t0-12M84 34q-5-6 0-12t0-12"
          fill="none"
          stroke={CREAM}
          stroke-width="3"
          stroke-linecap="round"
        />
        <path d="M104 56h8a12 12 0 0 1 0 28h-9" fill="none" stroke={CREAM} stroke-width="6" />
        <path d="M48 46h56v40a10 10 0 0 1-10 10H58a10 10 0 0 1-10-10z" fill={CREAM} />
        <path d="M48 46h14v50h-4a10 10 0 0 1-10-10z" fill="#e9dfcb" />
        <path d="M46 43h60v6H46z" fill="#2b4a6b" />
        <path d="M66 82l10-15 7 9 4-5 8 11z" fill="#2b4a6b" />
      </>
    ),
  },
  'wool-blanket': {
    ground: '#eadfc6',
    shapes: (
      <>
        <path
          d="M36 98v6M44 98v6M52 98v6M60 98v6M68 98v6M76 98v6M84 98v6M92 98v6M100 98v6M108 98v6M116 98v6M124 98v6"
          stroke="#a9482f"
          stroke-width="2"
        />
        <rect x="32" y="76" width="96" height="22" rx="9" fill="#c8644a" />
        <rect x="36" y="56" width="88" height="21" rx="9" fill="#d98263" />
        <rect x="40" y="38" width="80" height="19" rx="9" fill="#e5a181" />
        <path d="M32 84h96v5H32zM36 63h88v5H36zM40 44h80v5H40z" fill={CREAM} />
        <path d="M32 91.500h96v2H32zM36 70.500h88v2H36zM40 51h80v2H40z" fill="#8c3823" />
      </>
    ),
  },
  'travel-lamp': {
    ground: '#2c3e4d',
    shapes: (
      <>
        <path d="M86 46 132 96H56z" fill="#f2c14e" opacity=".28" />
        <path
          d="M48 94V52l30-22"
          fill="none"
          stroke="#d7c3a0"
          stroke-width="4"
          stroke-linecap="round"
          stroke-linejoin="round"
        />
        <circle cx="48" cy="52" r="4" fill="#f2c14e" />
        <path d="M72 20 102 38 84 52 66 38z" fill="#d98263" />
        <path d="M84 52 102 38q3 9-4 14-7 4-14 0z" fill="#ffe6a3" />
        <rect x="32" y="92" width="34" height="6" rx="3" fill="#d7c3a0" />
        <path d="M82 97q10-5 20 0 10-5 20 0v-4q-10-5-20 0-10-5-20 0z" fill={CREAM} />
        <path
          d="M26 22h.1M40 34h.1M128 24h.1M116 14h.1M138 44h.1M22 58h.1"
          stroke={CREAM}
          stroke-width="2.5"
          stroke-linecap="round"
          opacity=".7"
        />
      </>
    ),
  },
  'key-fob': {
    ground: '#e8c9bf',
    shapes: (
      <>
        <circle cx="72" cy="30" r="12" fill="none" stroke={INK} stroke-width="3" />
        <path d="M82 38l7 12" stroke={INK} stroke-width="3" />
        <g transform="rotate(-24 90 50)">
          <path d="M78 48h24l4 10v34a6 6 0 0 1-6 6H80a6 6 0 0 1-6-6V58z" fill="#d9a441" />
          <circle cx="90" cy="56" r="3" fill="#e8c9bf" />
          <path
            d="M84 90V76a6 6 0 0 1 12 0v14"
            fill="none"
            stroke="#8a5f1c"
            stroke-width="2.5"
            stroke-linecap="round"
          />
        </g>
        <g fill="none" stroke="#5c7080" stroke-width="4" stroke-linecap="round" transform="rotate(14 66 42)">
          <path d="M66 42v50M66 82h-8M66 91h-10" />
        </g>
      </>
    ),
  },
  'field-map': {
    ground: '#c5dad6',
    shapes: (
      <>
        <path d="M36 40 64 32v56l-28 8z" fill="#f3e7c9" />
        <path d="M64 32l32 8v56l-32-8z" fill={CREAM} />
        <path d="M96 40l28-8v56l-28 8z" fill="#f3e7c9" />
        <path d="M36 66q14-8 28 0v22l-28 8z" fill="#9cc3ae" />
        <path d="M96 40l28-8v20q-18 12-28-2z" fill="#8fb7c9" />
        <path
          d="M48 82q10-22 24-16t18-8 16 2"
          fill="none"
          stroke="#c8644a"
          stroke-width="2.5"
          stroke-dasharray="5 4"
          stroke-linecap="round"
        />
        <path d="M108 62c-7-8-9-11-9-15a9 9 0 0 1 18 0c0 4-2 7-9 15z" fill="#c8644a" />
        <circle cx="108" cy="47" r="3.5" fill={CREAM} />
        <path d="M64 32v56M96 40v56" stroke="#d9cba6" />
      </>
    ),
  },
  'tea-tin': {
    ground: '#e9d9ae',
    shapes: (
      <>
        <path d="M52 42h56v48a6 6 0 0 1-6 6H58a6 6 0 0 1-6-6z" fill="#35574a" />
        <path d="M52 42h12v54h-6a6 6 0 0 1-6-6z" fill="#2a463b" />
        <rect x="48" y="28" width="64" height="15" rx="4" fill="#d9a441" />
        <path d="M48 37h64v3H48z" fill="#b9842c" />
        <circle cx="80" cy="69" r="17" fill={CREAM} />
        <path d="M80 80V62" stroke="#35574a" stroke-width="2" stroke-linecap="round" />
        <path d="M80 66q-1-9-10-9 0 9 10 9zM80 72q1-9 10-9 0 9-10 9z" fill="#5d8f78" />
      </>
    ),
  },
}

const PLAIN: Picture = {
  ground: '#d5dcd8',
  shapes: (
    <path
      d="M60 96V62a20 20 0 0 1 40 0v34M50 96h60"
      fill="none"
      stroke="#8b9a93"
      stroke-width="5"
      stroke-linecap="round"
    />
  ),
}

/** The picture of a product; a plain door for one that nobody has drawn. The name stands beside it, so it is silent. */
export function Art({ sku }: { sku: string }): JSX.Element {
  const { ground, shapes } = Object.hasOwn(PICTURES, sku) ? PICTURES[sku]! : PLAIN
  return (
    <svg class="art" viewBox="20 0 120 120" aria-hidden="true">
      {/* Wider and higher than the view, so that the ground fills a tile of any shape. */}
      <rect x="-160" y="-120" width="480" height="360" fill={ground} />
      {shapes}
    </svg>
  )
}

const ICONS: Readonly<Record<DeviceName['kind'], string>> = {
  computer: 'M5 5h14v10H5zM2 19h20',
  phone: 'M7 2h10v20H7zM11 18.500h2',
  program: 'M3 4h18v16H3zM7 9l3 3-3 3M12 15h5',
  unknown: 'M3 4h18v16H3zM10 9.500a2 2 0 1 1 2 2.500v1M12 16h.01',
}

/** What kind of device it is, as an outline; the words beside it say the same. */
export function DeviceIcon({ kind }: { kind: DeviceName['kind'] }): JSX.Element {
  return (
    <svg class="icon" viewBox="0 0 24 24" aria-hidden="true">
      <path
        d={ICONS[kind]}
        fill="none"
        stroke="currentColor"
        stroke-width="1.6"
        stroke-linecap="round"
        stroke-linejoin="round"
      />
    </svg>
  )
}
