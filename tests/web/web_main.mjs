// Runs the tests of web_*_tests.mjs beside this file, one after the other, and prints TAP.

import { readdirSync } from 'node:fs';
import { run } from '../clients/node_tap.mjs';
import { closeBrowser } from './web_browser.mjs';

const here = new URL('.', import.meta.url);
for (const name of readdirSync(here).sort()) {
    if (/^web_.*_tests\.mjs$/.test(name))
        await import(new URL(name, here));
}
const status = await run(process.argv.slice(2));
await closeBrowser();
process.exit(status);
