/**
 * The texts that explain fields (`kubectl explain`), read when first asked for from the doc comments of the Kubernetes client that is
 * installed beside proa. Without it documents are the same, with no texts.
 */
import { existsSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import type { Describe } from '../openapi/schema-writer.ts'

interface TypeTexts {
  readonly text: string | undefined
  readonly fields: ReadonlyMap<string, string>
}

const NO_TEXTS: TypeTexts = { text: undefined, fields: new Map() }

/** The lines of a doc comment as one text, the generator's escapes undone. */
const textOf = (comment: string): string =>
  comment
    .replace(/^\s*\*\s?/gm, '')
    .trim()
    .replace(/\\(['"])/g, '$1')

const CLASS = /\/\*\*((?:(?!\*\/)[^])*)\*\/\s*export declare class /
const FIELD = /\/\*\*((?:(?!\*\/)[^])*)\*\/\s*'([^']+)'\??:/g

/** Reads the declaration of one model: the comment of the class, and one of each field. */
export function parseDeclaration(source: string): TypeTexts {
  const fields = Array.from(source.matchAll(FIELD), ([, comment = '', name = '']) => [name.replace(/^_/, ''), textOf(comment)] as const)
  const text = CLASS.exec(source)?.[1]
  return { text: text === undefined ? undefined : textOf(text), fields: new Map(fields) }
}

const capitalize = (word: string): string => word.charAt(0).toUpperCase() + word.slice(1)

/** The client's names for "core/v1.Event": V1Event, or CoreV1Event where two groups have one. */
function modelNames(typeName: string): string[] {
  const [group = '', rest = ''] = typeName.split('/')
  const [version = '', name = ''] = rest.split('.')
  return [`${capitalize(group)}${capitalize(version)}${name}`, `${capitalize(version)}${name}`, name]
}

function modelsDirectory(): string | undefined {
  try {
    return join(dirname(createRequire(import.meta.url).resolve('@kubernetes/client-node')), 'gen/models')
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'MODULE_NOT_FOUND') return undefined
    throw error
  }
}

/** Texts of types, each read once; there are some 900 types, and most are never asked for. */
export function createDescriptions(directory: string | undefined = modelsDirectory()): Describe {
  const known = new Map<string, TypeTexts>()

  const read = (typeName: string): TypeTexts => {
    if (directory === undefined) return NO_TEXTS
    const file = modelNames(typeName)
      .map((name) => join(directory, `${name}.d.ts`))
      .find(existsSync)
    return file === undefined ? NO_TEXTS : parseDeclaration(readFileSync(file, 'utf8'))
  }

  return (typeName, field) => {
    let texts = known.get(typeName)
    if (!texts) {
      texts = read(typeName)
      known.set(typeName, texts)
    }
    return field === undefined ? texts.text : texts.fields.get(field)
  }
}
