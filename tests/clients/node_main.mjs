// Runs the tests of node_*_tests.mjs beside this file, one after the other, and prints TAP.

import { readdirSync } from 'node:fs';
import { run } from './node_tap.mjs';

const here = new URL('.', import.meta.url);
for (const name of readdirSync(here).sort()) {
    if (/^node_.*_tests\.mjs$/.test(name))
        await import(new URL(name, here));
}
process.exit(await run(process.argv.slice(2)));
