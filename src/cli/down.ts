import { existsSync } from 'node:fs'
import { dataDirectory } from '../cluster/data-directory.ts'
import { takeDown } from '../cluster/teardown.ts'
import { createProgress } from './progress.ts'
import { dataRootOf } from './up.ts'

export async function down(flags: { readonly name: string; readonly dataDir?: string; readonly delete?: boolean }): Promise<void> {
  const directory = dataDirectory(dataRootOf(flags))
  const progress = createProgress(0)
  if (!existsSync(directory.root)) {
    progress.step(`there is no cluster "${flags.name}" (${directory.root} does not exist)`)
    return
  }
  await takeDown(directory, { deleteState: flags.delete ?? false, step: progress.step })
  progress.step(flags.delete ? `cluster "${flags.name}" is gone` : `cluster "${flags.name}" is down; ./proa up brings it back`)
}
