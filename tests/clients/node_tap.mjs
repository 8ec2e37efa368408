// The tests of this suite, and running them: each in a directory of its own and within its time.

import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';

const tests = [];
let failRunning = null; // rejects the test that runs
let running = null; // its context

export class Skip extends Error {}

export function test(name, body, seconds = 30) {
    tests.push({ name, body, seconds });
}

// What a test gets: a directory, and a stack of what to undo at its end.
class Context {
    constructor() {
        this.dir = mkdtempSync('/tmp/porthole-clients-'); // short enough for socket paths
        this.undo = [];
        this.notes = [];
        this.evidence = []; // called when the test has failed, each for a text to show
    }

    path(name) {
        return join(this.dir, name);
    }

    defer(action) {
        this.undo.push(action);
    }

    // A line for the log, beside the verdict.
    note(text) {
        this.notes.push(...String(text).split('\n'));
    }

    async close() {
        const errors = [];
        for (const action of this.undo.reverse()) {
            try {
                await action();
            } catch (error) {
                errors.push(error);
            }
        }
        rmSync(this.dir, { recursive: true, force: true });
        if (errors.length > 0)
            throw errors[0];
    }
}

async function within(seconds, what, work) {
    let timer;
    const failed = new Promise((_, reject) => {
        failRunning = reject;
        timer = setTimeout(() => reject(new Error(`${what} is still running after ${seconds} s`)), seconds * 1000);
    });
    try {
        await Promise.race([work(), failed]);
    } finally {
        clearTimeout(timer);
        failRunning = null;
    }
}

async function runOne(number, { name, body, seconds }) {
    const t = new Context();
    running = t;
    const begin = performance.now();
    const failures = [];
    let directive = '';
    for (const [what, limit, work] of [['the test', seconds, () => body(t)], ['its end', 30, () => t.close()]]) {
        try {
            await within(limit, what, work);
        } catch (error) {
            if (error instanceof Skip)
                directive = ` # SKIP ${error.message}`;
            else
                failures.push(error?.stack ?? String(error), ...t.evidence.splice(0).map((look) => look()));
        }
    }
    console.log(`${failures.length > 0 ? 'not ok' : 'ok'} ${number} - ${name}${directive}`);
    console.log(`# ${((performance.now() - begin) / 1000).toFixed(2)} s`);
    for (const line of [...t.notes, ...failures.join('\n').split('\n')])
        if (line)
            console.log(`# ${line}`);
    return failures.length === 0;
}

// Runs the tests whose name contains one of the words (or all); returns an exit status.
export async function run(words) {
    const chosen = tests.filter(({ name }) => words.length === 0 || words.some((word) => name.includes(word)));
    let nPassed = 0;
    for (const event of ['uncaughtException', 'unhandledRejection']) {
        process.on(event, (error) => {
            if (failRunning)
                failRunning(error);
            else
                console.log(`# between tests: ${error?.stack ?? error}`);
        });
    }
    for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP']) {
        process.once(signal, async () => {
            await running?.close().catch(() => {});
            process.exit(1);
        });
    }
    console.log(`1..${chosen.length}`);
    for (const [index, entry] of chosen.entries())
        nPassed += await runOne(index + 1, entry);
    console.log(`# ${nPassed} of ${chosen.length} passed`);
    return nPassed === chosen.length && nPassed > 0 ? 0 : 1;
}
