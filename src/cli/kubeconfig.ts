import { existsSync, readFileSync } from 'node:fs'
import { dataDirectory } from '../cluster/data-directory.ts'
import { UserError } from '../cluster/user-error.ts'
import { dataRootOf } from './up.ts'

export function kubeconfig(flags: { readonly name: string; readonly dataDir?: string }): void {
  const directory = dataDirectory(dataRootOf(flags))
  if (!existsSync(directory.kubeconfig)) throw new UserError(`there is no cluster "${flags.name}": ./proa up --name ${flags.name} makes it`)
  process.stdout.write(readFileSync(directory.kubeconfig, 'utf8'))
}
