/**
 * What the server says of every kind's seeds and their mutations is what upstream's kube-apiserver said: recorded.json holds the
 * hashes of upstream's answers in the order of the cases (a line a file of seeds). Answers known to differ are marked by a "!" in
 * front and not compared: marks may only be taken away. Where upstream panics there is nothing to compare with ("-"). A sample of the cases is asked; PROA_KINDS=all asks all.
 */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { answersTo, askInProcess, storeWorld } from './ask.ts'
import { hashOf, seedFiles, UNKNOWN, type Ask } from './cases.ts'

const STEP = process.env['PROA_KINDS'] === 'all' ? 1 : 23

const recorded = JSON.parse(readFileSync(join(import.meta.dirname, 'recorded.json'), 'utf8')) as Record<string, string>

const isCompared = (hash: string | undefined): boolean => hash !== UNKNOWN && !hash?.startsWith('!')

describe("answers are upstream's", () => {
  let prepared: Promise<Ask> | undefined
  for (const file of seedFiles()) {
    it(file, async (test) => {
      prepared ??= askInProcess({ after: () => undefined }).then(async (ask) => {
        await storeWorld(ask)
        return ask
      })
      const hashes = recorded[file]?.split(' ') ?? []
      const answers = await answersTo(file, await prepared, (index) => index % STEP === 0 && isCompared(hashes[index]))
      assert.equal(answers.length, hashes.length, 'the cases are not those that were recorded')
      const different = answers.filter(([, answer], index) => answer !== '' && hashOf(answer) !== hashes[index])
      assert.deepEqual(different, [], 'answers differ from what upstream said')
      test.diagnostic(`${hashes.filter((hash) => hash.startsWith('!')).length} of ${hashes.length} are known to differ`)
    })
  }
})
