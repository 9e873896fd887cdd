/* The strip of portraits: choose one, bring a new one, with consent, or take it away again. Events: "chosen" (detail
   {id, name, picture}), "problem" (detail sentence). */

export class Avatars extends EventTarget {
  constructor(api, root) {
    super();
    this.api = api;
    this.strip = root.getElementById("avatars");
    this.input = root.getElementById("portrait");
    this.dialog = root.getElementById("consent");
    this.preview = root.getElementById("consent-picture");
    this.line = root.getElementById("consent-line");
    this.given = root.getElementById("consent-given");
    this.problem = root.getElementById("consent-problem");
    this.go = root.getElementById("consent-go");
    this.file = null;
    this.chosen = null;
    this.mustConsent = true;
    this.strip.addEventListener("change", (event) => this.#choose(event.target));
    this.input.addEventListener("change", () => this.offer(this.input.files[0]));
    this.go.addEventListener("click", () => this.#upload());
    this.remover = root.getElementById("remove");
    this.remover.addEventListener("click", () => this.#remove());
    root.getElementById("consent-cancel").addEventListener("click", () => this.dialog.close());
    this.dialog.addEventListener("close", () => this.#forget());
  }

  /** Fill the strip with `list` and choose the portrait `id`, or the first. */
  async show(list, id) {
    this.strip.querySelectorAll("label").forEach((label) => label.remove());
    const inputs = [];
    for (const avatar of list) inputs.push(await this.#add(avatar));
    const first = inputs.find((input) => input.value === id) ?? inputs[0];
    if (!first) return;
    first.checked = true;
    this.#choose(first);
  }

  /** Show `file` and ask whether it may be brought to life. */
  offer(file) {
    this.input.value = "";
    if (!file) return;
    if (!/^image\//.test(file.type) && !/\.(heic|heif|webp|jpe?g|png|avif)$/i.test(file.name)) {
      this.#tell("problem", "That is not a picture. Choose a photo of one face.");
      return;
    }
    this.file = file;
    this.preview.src = URL.createObjectURL(file);
    this.preview.hidden = false;
    this.preview.onerror = () => { this.preview.hidden = true; }; // HEIC: the server can read it
    this.given.checked = false;
    this.problem.hidden = true;
    this.go.disabled = false;
    this.dialog.showModal();
  }

  async #upload() {
    if (this.mustConsent && !this.given.checked) return this.#refuse("Please tick the line above first.");
    const form = new FormData();
    form.append("portrait", this.file, this.file.name);
    if (this.given.checked) form.append("consent_statement", this.line.textContent.trim());
    this.go.disabled = true;
    this.go.textContent = "Looking for the face…";
    try {
      const avatar = await this.api.request("POST", "avatars", { body: form });
      const input = await this.#add(avatar);
      input.checked = true;
      this.dialog.close();
      this.#choose(input);
    } catch (error) {
      this.#refuse(error.message);
    } finally {
      this.go.disabled = false;
      this.go.textContent = "Use it";
    }
    return undefined;
  }

  /** Take the chosen portrait, one of the person's own, off the server. */
  async #remove() {
    const { id } = this.chosen;
    try {
      await this.api.request("DELETE", `avatars/${id}`);
      this.strip.querySelector(`input[value="${id}"]`).parentElement.remove();
      const first = this.strip.querySelector("input");
      first.checked = true;
      this.#choose(first);
    } catch (error) {
      this.#tell("problem", error.message);
    }
  }

  async #add(avatar) {
    const label = document.createElement("label");
    const input = Object.assign(document.createElement("input"), { type: "radio", name: "avatar", value: avatar.id });
    input.toggleAttribute("data-own", avatar.is_uploaded);
    const picture = Object.assign(document.createElement("img"), { alt: "", width: 64, height: 64, draggable: false });
    const name = Object.assign(document.createElement("span"), { textContent: avatar.name });
    picture.src = await this.api.picture(avatar.id);
    label.append(input, picture, name);
    this.strip.append(label);
    return input;
  }

  #choose(input) {
    if (this.chosen?.id === input.value) return;
    const label = input.parentElement;
    this.remover.hidden = !input.hasAttribute("data-own");
    label.scrollIntoView({ block: "nearest", inline: "nearest" });
    this.chosen = { id: input.value, name: label.querySelector("span").textContent, picture: label.querySelector("img").src };
    this.#tell("chosen", this.chosen);
  }

  #refuse(text) {
    this.problem.textContent = text;
    this.problem.hidden = false;
  }

  #forget() {
    URL.revokeObjectURL(this.preview.src);
    this.preview.removeAttribute("src");
    this.file = null;
  }

  #tell(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }
}
