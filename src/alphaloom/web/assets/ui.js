/* Buttons and forms of the web page: they call the JSON API and show what it answers. */
(() => {
  "use strict";
  const $ = (id) => document.getElementById(id);

  const problem = (text) => {
    const box = $("problem");
    box.textContent = text;
    box.hidden = !text;
    if (text) box.scrollIntoView({ block: "nearest" });
  };

  const call = async (path, body, method = "POST") => {
    problem("");
    const answer = await fetch(path, {
      method,
      headers: body === undefined ? {} : { "Content-Type": "application/json" },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
    const data = answer.status === 204 ? null : await answer.json();
    if (!answer.ok) throw new Error(data.detail);
    return data;
  };

  const on = (element, event, act) =>
    element?.addEventListener(event, async (given) => {
      if (event === "submit") given.preventDefault();
      try {
        await act(given);
      } catch (error) {
        problem(error.message);
      }
    });

  const path = (name) => name.split("/").map(encodeURIComponent).join("/");

  // Log in and out
  on($("login"), "submit", async () => {
    await call("/api/login", { token: $("token").value });
    location.href = "/";
  });
  on($("logout"), "click", async () => {
    await call("/api/logout");
    location.href = "/login";
  });

  // List of runs
  const compare = $("compare");
  if (compare) {
    const button = compare.querySelector("button.main");
    const count = () => {
      const ticked = compare.querySelectorAll("input:checked").length;
      button.disabled = ticked < 2;
      button.textContent = ticked > 1 ? `Compare ${ticked}` : "Compare";
    };
    compare.addEventListener("change", count);
    count();
    for (const select of $("choose").querySelectorAll("select")) select.addEventListener("change", () => $("choose").submit());
  }

  // Tags
  const tags = document.querySelector("form[data-tags]");
  if (tags) {
    const change = async (what) => {
      await call(`/api/tags/${path(tags.dataset.tags)}`, what);
      location.reload();
    };
    on(tags, "submit", () => change({ add: [tags.elements.tag.value.trim()] }));
    for (const button of tags.querySelectorAll("[data-remove]")) on(button, "click", () => change({ remove: [button.dataset.remove] }));
  }

  // Start a run
  const start = $("start");
  if (start) {
    const kind = () => start.elements.kind.value;
    const show = () => {
      for (const part of start.querySelectorAll("[data-kind]")) part.hidden = part.dataset.kind !== kind();
      const chosen = $("shipped").selectedOptions[0];
      $("words").textContent = chosen?.dataset.words ?? "";
      const scales = ["full", ...(chosen?.dataset.scales ?? "").split(" ").filter(Boolean)];
      const now = $("scale").value;
      $("scale").replaceChildren(...scales.map((name) => new Option(name, name, false, name === now)));
    };
    const recipe = () => ({
      ...(kind() === "shipped" ? { shipped: $("shipped").value, scale: $("scale").value } : { source: $("source").value }),
      overrides: $("overrides").value.split("\n").map((line) => line.trim()).filter(Boolean),
    });
    start.addEventListener("change", show);
    show();
    on($("file"), "change", async () => {
      $("source").value = await $("file").files[0].text();
    });
    on($("check"), "click", async () => {
      const box = $("answer");
      box.hidden = true;
      const found = await call("/api/recipes/resolve", recipe());
      box.textContent = `${found.name}: every setting is understood (hash ${found.recipe_hash}).`;
      box.hidden = false;
      $("resolved").hidden = false;
      $("resolved").querySelector("pre").textContent = found.source;
    });
    on(start, "submit", async () => {
      const job = await call("/api/jobs", { ...recipe(), store: $("store").value, run: $("run").value.trim() || null });
      location.href = `/jobs/${job.id}`;
    });
  }

  // Choose a day
  const day = $("day");
  day?.elements.store.addEventListener("change", () => {
    $("date").value = day.elements.store.selectedOptions[0].dataset.last;
  });

  // Follow a job
  const box = $("job");
  if (box) {
    const id = box.dataset.job;
    const tell = ({ job, output }) => {
      $("status").textContent = job.status;
      $("status").className = `state ${job.status}`;
      $("stage").textContent = job.status === "done" ? "" : job.stage;
      $("counts").textContent = job.total > 1 ? `(${job.done}/${job.total})` : "";
      $("seconds").textContent = job.seconds.toFixed(0);
      const bar = $("bar");
      if (job.status === "running" && job.total <= 1) bar.removeAttribute("value");
      else bar.value = job.status === "done" ? 1 : job.total ? job.done / job.total : 0;
      $("message").textContent = job.message;
      $("message").hidden = !job.message;
      const lines = $("output");
      const atEnd = lines.scrollHeight - lines.scrollTop - lines.clientHeight < 40;
      lines.textContent = output;
      if (atEnd) lines.scrollTop = lines.scrollHeight;
      const live = job.status === "queued" || job.status === "running";
      $("stop").hidden = !live;
      $("resume").hidden = job.status !== "stopped" && job.status !== "failed";
      $("open").hidden = job.status !== "done";
      return live;
    };
    const follow = () => {
      const events = new EventSource(`/api/jobs/${id}/events`);
      events.addEventListener("job", (event) => {
        if (!tell(JSON.parse(event.data))) events.close();
      });
    };
    on($("stop"), "click", () => call(`/api/jobs/${id}/stop`));
    on($("resume"), "click", async () => {
      await call(`/api/jobs/${id}/resume`);
      follow();
    });
    if (["queued", "running"].includes(box.dataset.status)) follow();
    $("output").scrollTop = $("output").scrollHeight;
  }
})();
