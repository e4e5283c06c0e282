//! A run as one self-contained page: charts, tables, formulas; live while the run goes on.
