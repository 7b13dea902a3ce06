"""Scripts of the pages: the theme's button, and filter and sorting of the gains table. Without them all is there."""

THEME = """
(() => {
  'use strict';
  const root = document.documentElement, button = document.getElementById('theme');
  const dark = () => root.dataset.theme ? root.dataset.theme === 'dark'
    : matchMedia('(prefers-color-scheme: dark)').matches;
  const label = () => { button.textContent = dark() ? '☀ Light' : '☾ Dark'; };
  button.hidden = false;
  button.addEventListener('click', () => { root.dataset.theme = dark() ? 'light' : 'dark'; label(); });
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', label);
  label();
})();
"""

GAINS = """
(() => {
  'use strict';
  const table = document.querySelector('.gains table'), said = document.getElementById('sorted');
  const groups = [...table.tBodies], heads = [...table.tHead.rows[0].cells];
  const filter = document.querySelector('.filter');
  const show = view => groups.forEach(group => {
    group.hidden = view !== 'all' && !group.dataset.views.split(' ').includes(view);
  });
  filter.hidden = false;
  filter.addEventListener('change', event => show(event.target.value));
  show(filter.querySelector('input:checked').value);

  const words = new Intl.Collator('en', {numeric: true});
  function sort(column, way) {
    const numeric = heads[column].dataset.kind === 'number', sign = way === 'ascending' ? 1 : -1;
    for (const group of groups) {
      const rows = [...group.rows].filter(row => !row.classList.contains('group'));
      const keyed = rows.map((row, place) => ({row, place, key: row.cells[column].dataset.value ?? ''}));
      keyed.sort((a, b) => {
        if (a.key === '' || b.key === '') return (a.key === '') - (b.key === '') || a.place - b.place;
        const order = numeric ? Number(a.key) - Number(b.key) : words.compare(a.key, b.key);
        return sign * order || a.place - b.place;
      });
      group.append(...keyed.map(item => item.row));
    }
    heads.forEach((head, place) => head.setAttribute('aria-sort', place === column ? way : 'none'));
    const first = numeric ? (sign > 0 ? 'smallest' : 'largest') : (sign > 0 ? 'A' : 'Z');
    said.textContent = `Sorted by ${heads[column].innerText.trim()}, ${first} first, within each group.`;
  }
  heads.forEach((head, column) => head.querySelector('button').addEventListener('click', () => {
    const now = head.getAttribute('aria-sort'), first = head.dataset.first;
    sort(column, now === 'none' ? first : now === 'ascending' ? 'descending' : 'ascending');
  }));
})();
"""
