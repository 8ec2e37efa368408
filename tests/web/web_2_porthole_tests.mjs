// The page with what porthole itself says.

import assert from 'node:assert/strict';
import { test } from '../clients/node_tap.mjs';
import { openPage, untilText } from './web_browser.mjs';
import { ask, startPorthole } from './web_rig.mjs';

test('porthole: its listeners, routes, targets and figures are on its page, and a reload that fails', async (t) => {
    const porthole = await startPorthole(t);
    // What a version does not have yet is not there, which a browser says aloud.
    const page = await openPage(t, porthole.base, { forgive: /status of 404/ });
    await untilText(page, '#state', /^ready$/);
    for (let i = 0; i < 25; i++)
        assert.equal(await ask(porthole.socket, '/hello'), 200);
    assert.equal(await ask(porthole.socket, '/gone'), 503);
    await untilText(page, '#routes-table tbody tr:nth-child(1)', /hello.*respond.*25/);
    await untilText(page, '#routes-table tbody tr:nth-child(2)', /gone.*absent/);
    await untilText(page, '#listeners-table', /app.*up.*0660/);
    await untilText(page, '#targets-table', /absent.*absent\.sock/);
    await untilText(page, '#configuration-facts', /none yet/);
    porthole.write('{ "listeners": [ { "bind": "nowhere" } ] }');
    await untilText(page, '#reload-errors pre', /nowhere|bind/);
    assert.equal(await page.textContent('#state'), 'ready');
    assert.equal(await ask(porthole.socket, '/hello'), 200);
    porthole.write(porthole.configuration);
    await page.waitForFunction(() => document.querySelector('#reload-errors').hidden, null, { timeout: 30000 });
    assert.equal(await page.locator('#trouble').isVisible(), false);
}, 120);
