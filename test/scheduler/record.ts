/**
 * Records what upstream's kube-scheduler decides on random clusters (clusters.ts) at proa's API server: `node test/scheduler/record.ts
 * [clusters]` writes decisions.json, which decisions.test.ts compares proa's scheduler with. Upstream's program must be built (npm run bench).
 */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { recordClusters } from './recording.ts'

const count = Number(process.argv[2] ?? 1000)
const recorded = await recordClusters(
  Array.from({ length: count }, (_, i) => i + 1),
  (done) => process.stderr.write(`\r${done}/${count}`),
)
const texts = [...new Set(recorded.flat().map((outcome) => outcome.text))]
const rows = recorded.map((outcomes) =>
  outcomes.map(({ text, nominated, victims }) => [texts.indexOf(text), ...(nominated ? [nominated, ...victims] : [])]),
)
const lines = rows.map((row) => JSON.stringify(row)).join(',\n')
writeFileSync(
  join(import.meta.dirname, 'decisions.json'),
  `{"texts":[\n${texts.map((text) => JSON.stringify(text)).join(',\n')}\n],"clusters":[\n${lines}\n]}\n`,
)
process.stderr.write(`\n${texts.length} texts\n`)
process.exit(0)
