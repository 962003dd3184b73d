/** `npm run operators`: builds the operator that the tests run, and fetches the definitions that others publish. */
import { UserError } from '../src/cluster/user-error.ts'
import { definitionOwners, definitionsOf, findPrograms } from './programs.ts'

const { signal } = new AbortController()
try {
  const { operator } = await findPrograms(['operator'], console.log, signal)
  console.log(operator)
  for (const owner of definitionOwners) console.log(definitionsOf(owner, true) ?? `the definitions of ${owner} could not be downloaded`)
} catch (error) {
  if (!(error instanceof UserError)) throw error
  console.error(error.message)
  process.exitCode = 1
}
