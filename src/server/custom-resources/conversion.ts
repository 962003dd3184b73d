/**
 * Objects of one version as another version shows or stores them. With strategy None only apiVersion differs, and what the other
 * schema does not know goes. With strategy Webhook someone outside converts (KEP-598), which takes time, while objects are shown
 * within synchronous code: there `Converter.convert` throws `Unconverted` for an object that nobody has converted yet, and whoever may
 * wait (`settle`) asks the webhook and does its work again. So nothing half converted is ever seen, and many objects are one question.
 */
import type { CustomResourceDefinition } from '../../api/generated/apiextensions/v1.ts'
import type { KubeObject } from '../../api/object.ts'
import { parseApiVersion } from '../../api/schema.ts'
import { plainFailure, type ApiError } from '../../api/status.ts'
import { Unsettled } from '../unsettled.ts'

/** Asks the webhook of a definition; resolves with as many objects, in that order, each of that apiVersion. Rejects with an Error. */
export interface ConversionWebhook {
  convert(definition: CustomResourceDefinition, objects: readonly KubeObject[], apiVersion: string): Promise<readonly KubeObject[]>
}

export interface Converter {
  /** Gives the object its new apiVersion; throws Unconverted (see `settle`), or an ApiError when it cannot be. */
  convert(object: KubeObject, apiVersion: string): KubeObject
  /** A webhook converts. */
  readonly isOutside: boolean
}

const relabel: Converter = {
  convert: (object, apiVersion) => (object.apiVersion === apiVersion ? object : { ...object, apiVersion }),
  isOutside: false,
}

export function converterOf(definition: CustomResourceDefinition, webhook: ConversionWebhook | undefined): Converter {
  return definition.spec.conversion?.strategy === 'Webhook' ? new Outside(definition, webhook) : relabel
}

/** An object must be converted before the work that met it can go on. Not a failure: `settle` catches it. */
class Unconverted extends Unsettled {
  readonly outside: Outside
  readonly object: KubeObject
  readonly target: string
  constructor(outside: Outside, object: KubeObject, target: string) {
    super(`${object.kind} has not been converted to ${target}`)
    this.outside = outside
    this.object = object
    this.target = target
  }
  settle(): Promise<void> {
    return this.outside.ask([this.object], this.target)
  }
}

/** Of objects that are made anew each time (those that an apply merges), this many conversions are remembered by their text. */
const MAX_REMEMBERED = 256
/** One question to a webhook: answers are limited, and so is what it can do within its time. */
const MAX_BATCH = 500
const MAX_BATCH_CHARACTERS = 1024 * 1024

class Outside implements Converter {
  readonly isOutside = true
  readonly #definition: CustomResourceDefinition
  readonly #webhook: ConversionWebhook | undefined
  /** Objects are never changed: what a revision was converted to stays right as long as the revision lives. */
  readonly #known = new WeakMap<KubeObject, Map<string, KubeObject>>()
  readonly #byText = new Map<string, KubeObject>()

  constructor(definition: CustomResourceDefinition, webhook: ConversionWebhook | undefined) {
    this.#definition = definition
    this.#webhook = webhook
  }

  convert(object: KubeObject, apiVersion: string): KubeObject {
    if (object.apiVersion === apiVersion) return object
    this.#checkVersions(object, apiVersion)
    // An object that holds nothing has nothing to convert.
    if (object.metadata === undefined && Object.keys(object).length === 2) return { ...object, apiVersion }
    const found = this.#known.get(object)?.get(apiVersion) ?? this.#byText.get(textOf(object, apiVersion))
    if (!found) throw new Unconverted(this, object, apiVersion)
    return found
  }

  #checkVersions({ apiVersion: from = '' }: KubeObject, to: string): void {
    const { group, versions } = this.#definition.spec
    const isKnown = (apiVersion: string) => versions.some(({ name }) => `${group}/${name}` === apiVersion)
    if (!isKnown(to)) throw plainFailure(`request to convert CR to an invalid group/version: ${to}`)
    if (!isKnown(from)) throw plainFailure(`request to convert CR from an invalid group/version: ${from}`)
  }

  async ask(objects: readonly KubeObject[], apiVersion: string): Promise<void> {
    const texts = objects.map((object) => textOf(object, apiVersion))
    let start = 0
    while (start < objects.length) {
      let end = start
      let size = 0
      while (end < objects.length && end - start < MAX_BATCH && (end === start || size + texts[end]!.length <= MAX_BATCH_CHARACTERS))
        size += texts[end++]!.length
      const asked = objects.slice(start, end)
      const converted = await this.#exchange(asked, apiVersion)
      for (const [index, object] of asked.entries()) this.#remember(object, texts[start + index]!, apiVersion, converted[index]!)
      start = end
    }
  }

  async #exchange(objects: readonly KubeObject[], apiVersion: string): Promise<readonly KubeObject[]> {
    const first = objects[0]!
    if (!this.#webhook) throw conversionFailed(first, 'failed: no webhook client is configured')
    try {
      return await this.#webhook.convert(this.#definition, objects, apiVersion)
    } catch (error) {
      throw conversionFailed(first, error instanceof Error ? error.message : String(error))
    }
  }

  #remember(object: KubeObject, text: string, apiVersion: string, converted: KubeObject): void {
    const known = this.#known.get(object)
    if (known) known.set(apiVersion, converted)
    else this.#known.set(object, new Map([[apiVersion, converted]]))
    if (this.#byText.size >= MAX_REMEMBERED) this.#byText.delete(this.#byText.keys().next().value!)
    this.#byText.set(text, converted)
  }
}

const textOf = (object: KubeObject, apiVersion: string): string => `${apiVersion} ${JSON.stringify(object)}`

/** Work that meets ever new objects to convert is broken off: each round must bring it further. */
const MAX_ROUNDS = 32

/** Does work that shows objects; where a webhook must convert one first, that is waited for. At once in the usual case. */
export function settle<T>(work: () => T): T | Promise<T> {
  try {
    return work()
  } catch (error) {
    if (!(error instanceof Unsettled)) throw error
    return settleAfter(error, work)
  }
}

async function settleAfter<T>(met: Unsettled, work: () => T): Promise<T> {
  let next = met
  for (let round = 0; round < MAX_ROUNDS; round++) {
    await next.settle()
    try {
      return work()
    } catch (error) {
      if (!(error instanceof Unsettled)) throw error
      next = error
    }
  }
  throw next instanceof Unconverted
    ? conversionFailed(next.object, 'failed: the conversions come to no end')
    : plainFailure('the questions to others come to no end')
}

/** The same for many: what they need of one webhook is asked for at once. */
export async function settleAll<T>(works: readonly (() => T)[]): Promise<readonly T[]> {
  const needed = new Map<Outside, Map<string, KubeObject[]>>()
  const done: T[] = []
  for (const work of works) {
    try {
      done.push(work())
    } catch (error) {
      if (!(error instanceof Unconverted)) throw error
      const { outside, object, target } = error
      let targets = needed.get(outside)
      if (!targets) needed.set(outside, (targets = new Map()))
      const objects = targets.get(target)
      if (objects) objects.push(object)
      else targets.set(target, [object])
    }
  }
  if (done.length === works.length) return done
  for (const [outside, targets] of needed) for (const [target, objects] of targets) await outside.ask(objects, target)
  const all: T[] = []
  for (const work of works) {
    const made = settle(work)
    all.push(made instanceof Promise ? await made : made)
  }
  return all
}

/** Upstream answers so when a webhook fails: 500, without a reason. */
function conversionFailed(object: KubeObject, why: string): ApiError {
  const { group, version } = parseApiVersion(object.apiVersion ?? '')
  return plainFailure(`conversion webhook for ${group}/${version}, Kind=${object.kind} ${why}`)
}
