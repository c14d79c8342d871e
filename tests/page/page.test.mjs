// The page in a real browser, on a real `weir run`: node --test, with WEIR_BIN, CHROMIUM, and SCREENSHOTS, a folder, if they are wanted.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { chromium } from "playwright-core";

const folder = mkdtempSync(join(tmpdir(), "weir-page-"));
let port, weir, browser, page;
const errors = [];

const free = () => new Promise((found) => {
  const server = createServer().listen(0, "127.0.0.1", () => { const { port } = server.address(); server.close(() => found(port)); });
});

function run() {
  weir = spawn(process.env.WEIR_BIN, ["run", folder], { stdio: "ignore", env: { ...process.env, XDG_RUNTIME_DIR: folder } });
}

const ended = (child) => new Promise((done) => (child.exitCode === null && child.signalCode === null ? child.on("exit", done) : done()));
const shown = (id) => page.getByTestId(id);
const number = async (id) => Number((await shown(id).evaluate((element) => element.firstChild.textContent)).replaceAll(",", ""));

async function eventually(what, done) {
  for (const deadline = Date.now() + 30_000; Date.now() < deadline; await new Promise((next) => setTimeout(next, 100))) {
    if (await done()) return;
  }
  assert.fail(`not within 30 s: ${what}`);
}

before(async () => {
  port = await free();
  writeFileSync(join(folder, "ticks.toml"), `
name = "ticks"
trigger = { every = "500ms" }
control = { listen = "127.0.0.1:${port}" }
limits = { max_records = 40 }
[[source]]
id = "ticks"
rate = { rows_per_second = 100 }
event_time = { column = "timestamp", watermark = "1 second" }
[[step]]
id = "by_second"
input = "ticks"
window = { tumbling = "1 second" }
output_mode = "update"
aggregate = { plugin = "std", config = { rows = "count(*)", newest = "max(value)" } }
[[sink]]
input = "by_second"
console = {}
`);
  const ticks = readFileSync(join(folder, "ticks.toml"), "utf8");
  writeFileSync(join(folder, "tocks.toml"), ticks.replace('name = "ticks"', 'name = "tocks"').replace(/control = .*/, ""));
  run();
  browser = await chromium.launch({ executablePath: process.env.CHROMIUM, args: ["--no-sandbox"] });
  page = await browser.newPage({ viewport: { width: 1200, height: 1000 } });
  // What the browser itself logs of a connection that is refused while weir is away is no error of the page.
  page.on("console", (message) => { if (message.type() === "error" && !/net::ERR|Failed to load resource/.test(message.text())) errors.push(message.text()); });
  page.on("pageerror", (error) => errors.push(String(error)));
  await eventually("weir listens", () => fetch(`http://127.0.0.1:${port}/healthz`).then((answer) => answer.ok, () => false));
  await page.goto(`http://127.0.0.1:${port}/`);
});

after(async () => { await browser?.close(); weir?.kill("SIGKILL"); });

test("it shows the numbers of /progress", async () => {
  await eventually("an epoch", async () => (await number("epoch").catch(() => 0)) > 3);
  await eventually("the same epoch with the same numbers", async () => {
    const [epoch, rows, groups] = [await number("epoch"), await number("input-rows"), await number("groups")];
    const records = (await (await fetch(`http://127.0.0.1:${port}/progress`)).json()).ticks;
    const record = records.find((one) => one.batchId === epoch);
    return record && record.numInputRows === rows && record.stateOperators[0].numRowsTotal === groups && (await number("epoch")) === epoch;
  });
  assert.equal(await shown("state").textContent(), "running");
  assert.match(await shown("graph").textContent(), /ticks → by_second.*std/s);
  assert.match(await shown("partitions").textContent(), /ticks/);
  assert.match(await shown("limits").textContent(), /max_records/);
  assert.match(await shown("log").textContent(), /INFO weir/);
});

test("it follows a running pipeline", async () => {
  const epoch = await number("epoch");
  await eventually("later epochs", async () => (await number("epoch")) > epoch + 2);
  assert.ok((await page.locator("#bars g").count()) > 3);
});

test("it fits a phone, and the dark", async () => {
  const screenshots = process.env.SCREENSHOTS;
  if (screenshots) await page.screenshot({ path: join(screenshots, "page.png"), fullPage: true });
  await page.emulateMedia({ colorScheme: "dark" });
  assert.notEqual(await page.evaluate(() => getComputedStyle(document.body).backgroundColor), "rgb(246, 247, 249)");
  if (screenshots) await page.screenshot({ path: join(screenshots, "dark.png"), fullPage: true });
  await page.setViewportSize({ width: 360, height: 740 });
  assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= window.innerWidth), "it scrolls sideways");
  if (screenshots) await page.screenshot({ path: join(screenshots, "phone.png"), fullPage: true });
  await page.setViewportSize({ width: 1200, height: 1000 });
});

test("with a token it loads and follows, too", async () => {
  const [token, other] = ["a+b/c d%=&x", await free()];
  const lone = join(folder, "locked");
  mkdirSync(lone);
  const text = readFileSync(join(folder, "ticks.toml"), "utf8").replace('name = "ticks"', 'name = "locked"');
  writeFileSync(join(lone, "locked.toml"), text.replace(/control = .*/, `control = { listen = "127.0.0.1:${other}", token = "${token}" }`));
  const locked = spawn(process.env.WEIR_BIN, ["run", join(lone, "locked.toml")], { stdio: "ignore", env: { ...process.env, XDG_RUNTIME_DIR: lone } });
  const tab = await browser.newPage();
  try {
    const url = `http://127.0.0.1:${other}/?token=${encodeURIComponent(token)}`;
    await eventually("weir listens", () => fetch(url).then((answer) => answer.ok, () => false));
    await tab.goto(url);
    await eventually("epochs", async () => Number(await tab.getByTestId("epoch").evaluate((element) => element.firstChild.textContent).catch(() => 0)) > 2);
    await tab.getByTestId("stop").click();
    await tab.getByTestId("stop").click();
    await ended(locked);
    assert.equal(locked.exitCode, 0);
  } finally {
    locked.kill("SIGKILL");
    await tab.close();
  }
});

test("it survives a restart of weir", async () => {
  weir.kill("SIGKILL");
  await ended(weir);
  await eventually("it says that the connection is lost", async () => (await shown("connection").textContent()).includes("lost"));
  const epoch = await number("epoch");
  run();
  await eventually("it is live again and goes on", async () => (await shown("connection").textContent()) === "live" && (await number("epoch").catch(() => 0)) > epoch);
});

const tab = (name) => page.locator("#tabs button", { hasText: name });
const state = async (name) => (await (await fetch(`http://127.0.0.1:${port}/pipelines`)).json()).pipelines.find((one) => one.name === name).state;

test("a tab keeps the focus while epochs come, and switching takes a half-pressed stop back", async () => {
  await tab("ticks").focus();
  const epoch = await number("epoch");
  await eventually("later epochs", async () => (await number("epoch")) > epoch + 2);
  assert.equal(await page.evaluate(() => document.activeElement.textContent), "ticks");
  await shown("stop").click();
  assert.equal(await shown("stop").textContent(), "Stop it?");
  await tab("tocks").click({ delay: 600 });
  await eventually("the other pipeline is shown", async () => (await page.locator("#name").textContent()) === "tocks");
  assert.equal(await shown("stop").textContent(), "Stop");
  assert.deepEqual([await state("ticks"), await state("tocks")], ["running", "running"]);
});

test("a stop that is refused says why", async () => {
  await page.route("**/stop", (route) => route.fulfill({ status: 403, body: "not you" }));
  await shown("stop").click();
  await shown("stop").click();
  await eventually("the reason", async () => (await shown("refusal").textContent()) === "tocks was not stopped: not you");
  await page.unroute("**/stop");
});

test("its button stops the pipeline that is shown, when it is pressed twice", async () => {
  await shown("stop").click();
  await shown("stop").click();
  await eventually("it has stopped", async () => (await state("tocks")) === "stopped");
  assert.equal(await state("ticks"), "running");
  await tab("ticks").click();
  await eventually("the first one is shown", async () => (await page.locator("#name").textContent()) === "ticks");
  await shown("stop").click();
  assert.equal(await shown("stop").textContent(), "Stop it?");
  await shown("stop").click();
  await ended(weir);
  assert.equal(weir.exitCode, 0);
});

test("it has no errors", () => assert.deepEqual(errors, []));
