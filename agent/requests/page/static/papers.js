// Letters and disposition sheets on their way to the daemon.

/** Return the files chosen in a field, as the API takes them. */
export const chosenPapers = (input) => Promise.all([...input.files].map(async (file) => {
  const address = await new Promise((resolve, reject) => {
    const reader = Object.assign(new FileReader(), { onload: () => resolve(reader.result), onerror: reject });
    reader.readAsDataURL(file);
  });
  return { name: file.name, content: address.slice(address.indexOf(",") + 1) };
}));

/** Return what a form's fields say, without those that are empty and files. */
export const entries = (form) => Object.fromEntries([...new FormData(form)]
  .filter(([, value]) => typeof value === "string" && value.trim())
  .map(([name, value]) => [name, value.trim().replace(/^(\d{4}-\d\d-\d\d)T/, "$1 ")]));
