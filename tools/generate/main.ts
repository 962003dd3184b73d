/** `npm run generate`: writes src/api/generated from upstream's published API. */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { printInternal } from './internal.ts'
import { buildModel } from './model.ts'
import { printResources, printSchema } from './table.ts'
import { printKinds, printTypes } from './typescript.ts'
import { readUpstream } from './upstream.ts'

const target = join(import.meta.dirname, '../../src/api/generated')

function write(path: string, content: string): void {
  const file = join(target, path)
  mkdirSync(dirname(file), { recursive: true })
  writeFileSync(file, content)
}

const upstream = readUpstream()
const model = buildModel(upstream)
rmSync(target, { recursive: true, force: true })
for (const [file, content] of printTypes(model)) write(`${file}.ts`, content)
write('kinds.ts', printKinds(model))
write('schema.json', printSchema(model))
write('internal.json', printInternal(model))
write('resources.json', printResources(upstream.discovery, model))
console.log(`${model.length} types, ${model.filter((type) => type.kind).length} kinds`)
