/** What a cluster of this id could leave on the machine: mounts, cgroups, processes, links, network namespaces, rules. */
import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync, readdirSync } from 'node:fs'

export function leftovers(id: string, dataDir: string): readonly string[] {
  const mounts = readFileSync('/proc/self/mounts', 'utf8').split('\n')
  const cgroups = readdirSync('/sys/fs/cgroup', { recursive: true, encoding: 'utf8' }).filter((path) => path.includes(`proa-${id}`))
  const processes = readdirSync('/proc').filter((pid) => {
    if (!/^\d+$/.test(pid) || Number(pid) === process.pid) return false
    const path = `/proc/${pid}/cmdline`
    return existsSync(path) && readFileSync(path, 'utf8').includes(dataDir)
  })
  const named = (program: string, ...args: string[]) =>
    execFileSync(program, args, { encoding: 'utf8' })
      .split('\n')
      .filter((line) => line.includes(id))
  return [
    ...mounts.filter((line) => line.includes(dataDir) || line.includes(id)),
    ...cgroups,
    ...processes,
    ...named('ip', '-o', 'link'),
    ...named('ip', 'netns'),
    ...named('nft', 'list', 'tables'),
  ]
}
