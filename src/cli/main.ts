/**
 * The proa command. Each command is a file that is loaded when it is called, so that none pays for another's libraries.
 * Exit codes: 0 done, 1 failed, 2 wrong usage.
 */
import { Command, CommanderError, InvalidArgumentError, Option } from 'commander'
import { apiServerFlags } from '../cluster/api-server-flags.ts'
import { PROA_VERSION } from '../cluster/defaults.ts'
import { isUserError } from '../cluster/user-error.ts'

/** Cluster names become parts of paths: the rule of DNS labels. */
function clusterName(text: string): string {
  if (!/^[a-z0-9]([-a-z0-9]{0,38}[a-z0-9])?$/.test(text)) {
    throw new InvalidArgumentError('A name has at most 40 lower case letters, digits and dashes.')
  }
  return text
}

function integer(minimum: number, maximum: number): (text: string) => number {
  return (text) => {
    const value = Number(text)
    if (!/^\d+$/.test(text) || value < minimum || value > maximum)
      throw new InvalidArgumentError(`It must be a number from ${minimum} to ${maximum}.`)
    return value
  }
}

const program = new Command('proa')
  .description('A Kubernetes cluster in one process.')
  .version(`proa ${PROA_VERSION} (Kubernetes v1.36.3)`, '-V, --version')
  .showHelpAfterError('(proa --help, or proa COMMAND --help, tells more)')
  .exitOverride()
  .configureHelp({ showGlobalOptions: true })

const nameOption = () => new Option('--name <name>', 'which cluster').default('default').argParser(clusterName)
const dataOption = () =>
  new Option('--data-dir <path>', 'where the cluster lives (default: /var/lib/proa/NAME for root, else under ~/.local/share/proa)')

const command = (name: string, description: string): Command =>
  program.command(name).description(description).addOption(nameOption()).addOption(dataOption()).copyInheritedSettings(program)

/** Under upstream's names; `proa up --help` tells of them. */
const withApiServerFlags = (target: Command): Command => {
  for (const { name, kind, help } of apiServerFlags) target.option(kind === 'switch' ? `--${name}` : `--${name} <${kind}>`, help)
  return target
}

const withUpOptions = (target: Command): Command =>
  withApiServerFlags(target)
    .option('--port <port>', 'the API server listens here (default: 6443, or the next free one)', integer(1, 65535))
    .option(
      '--nodes <count>',
      'how many nodes (with containerd: this machine, and network namespaces of it; simulated: 0 for none)',
      integer(0, 5000),
    )
    .addOption(
      new Option('--runtime <kind>', 'what runs the pods (default: containerd for root, else simulated)').choices([
        'containerd',
        'simulated',
      ]),
    )
    .addOption(new Option('--store <kind>', 'where the state is kept').choices(['sqlite', 'memory']))
    .option('--scheduler-config <file>', 'a KubeSchedulerConfiguration for the scheduler (YAML)')

withUpOptions(command('up', 'start a cluster, or continue one that was stopped'))
  .option('--wait', 'return when all nodes are Ready, not when the API answers')
  .option('--foreground', 'stay; Ctrl-C takes the cluster down')
  .addOption(
    new Option('--log-level <level>', 'how much the server writes to its log').choices(['debug', 'info', 'warn', 'error']).default('info'),
  )
  .action(async (options) => (await import('./up.ts')).up(options))

command('down', 'take a cluster down: its server, containers, mounts, links and rules; its state stays')
  .option('--delete', 'remove the state too')
  .action(async (options) => (await import('./down.ts')).down(options))

command('status', 'how a cluster is')
  .option('--json', 'for programs')
  .action(async (options) => (await import('./status.ts')).status(options))

command('kubeconfig', 'print the administrator’s kubeconfig').action(async (options) =>
  (await import('./kubeconfig.ts')).kubeconfig(options),
)

program
  .command('agent')
  .description('run one node in this network namespace (the server starts it for --nodes)')
  .requiredOption('--config <path>', 'what the server wrote for it')
  .copyInheritedSettings(program)
  .action(async ({ config }: { config: string }) => (await import('../cluster/agent.ts')).runAgent(config))

const image = program.command('image').description('container images of the cluster’s nodes').copyInheritedSettings(program)
image
  .command('load <archive>')
  .description('load an OCI or Docker image archive into the nodes')
  .addOption(nameOption())
  .addOption(dataOption())
  .copyInheritedSettings(program)
  .action(async (archive: string, options) => (await import('./image.ts')).loadImage(archive, options))

try {
  await program.parseAsync()
} catch (error) {
  if (error instanceof CommanderError) {
    process.exitCode = error.exitCode === 0 ? 0 : 2
  } else if (isUserError(error)) {
    process.stderr.write(`proa: ${error.message}\n`)
    process.exitCode = 1
  } else {
    process.stderr.write(`proa: ${error instanceof Error ? error.stack : String(error)}\nThis is a bug in proa.\n`)
    process.exitCode = 1
  }
}
