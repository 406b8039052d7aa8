// Keeps what a page shows of a job fresh: every two seconds while the job is not over. When its state changes the
// page is loaded anew, so that buttons and results are the server's business alone.

const EVERY_MS = 2000;

for (const job of document.querySelectorAll("[data-job]")) {
  if (!("over" in job.dataset)) setTimeout(look, EVERY_MS, job);
}

async function look(job) {
  const offline = job.querySelector("[data-job-offline]");
  try {
    const reply = await fetch(job.dataset.job, { headers: { Accept: "application/json" }, cache: "no-store" });
    if (!reply.ok || reply.redirected) throw new Error(`status ${reply.status}`);
    const news = await reply.json();
    if (news.state !== job.dataset.state) return location.reload();
    offline.hidden = true;
    show(job, news);
  } catch {
    offline.hidden = false;
  }
  setTimeout(look, EVERY_MS, job);
}

function show(job, news) {
  const bar = job.querySelector("[data-job-bar]");
  bar.max = news.total || 1;
  bar.value = news.done;
  job.querySelector("[data-job-count]").textContent = news.total ? `${news.done} / ${news.total}` : "";
  if (!news.cancel_requested) job.querySelector("[data-job-text]").textContent = news.text;

  const noWorker = document.querySelector("[data-job-no-worker]");
  if (noWorker) noWorker.hidden = !news.no_worker;
  const log = document.querySelector("[data-job-log]");
  if (log) log.textContent = news.lines.map((line) => `${line.at}  ${line.text}\n`).join("");
}
